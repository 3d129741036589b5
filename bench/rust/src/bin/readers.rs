//! `readers` for rkyv: bench/c/readers/main.c says what it does. A sorted `Vec`, and a `Vec` for each value; mapped and
//! taken as it is.

use std::fs::{self, File};
use std::io::Read;
use std::time::Instant;

use filz_bench::{number, say};
use rkyv::rancor::Error;
use rkyv::Archived;

const KEY_SIZE: usize = 16;
const VALUE_SIZE: usize = 112;
const PATH: &str = "readers.rkyv";

#[derive(rkyv::Archive, rkyv::Serialize)]
struct Entry {
    key: [u8; KEY_SIZE],
    value: Vec<u8>,
}

/// SplitMix64 (Steele, Lea and Flood, 2014)
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// The n-th pair. The keys are sorted.
fn pair_of(n: u64) -> ([u8; KEY_SIZE], [u8; VALUE_SIZE]) {
    let key = format!("{n:08x}{:08x}", mix(n) as u32);
    let mut value = [0; VALUE_SIZE];
    for (i, word) in value.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&mix(n * VALUE_SIZE as u64 + i as u64).to_ne_bytes());
    }
    (key.as_bytes().try_into().expect("16 digits"), value)
}

fn make(count: u64) {
    let entry = |n| {
        let (key, value) = pair_of(n);
        Entry { key, value: value.to_vec() }
    };
    let entries: Vec<Entry> = (0..count).map(entry).collect();
    fs::write(PATH, rkyv::to_bytes::<Error>(&entries).expect("bytes")).expect("written");
}

fn open() -> memmap2::Mmap {
    // SAFETY: the file isn't written to meanwhile.
    unsafe { memmap2::Mmap::map(&File::open(PATH).expect("a file")) }.expect("a mapping")
}

fn find<'a>(file: &'a memmap2::Mmap, key: &[u8]) -> Option<&'a [u8]> {
    // SAFETY: the file is as `make` has written it.
    let entries: &Archived<Vec<Entry>> = unsafe { rkyv::access_unchecked(file) };
    let at = entries.binary_search_by(|entry| entry.key[..].cmp(key)).ok()?;
    Some(&entries[at].value)
}

fn look_up(file: Option<&memmap2::Mmap>, (key, value): &([u8; KEY_SIZE], [u8; VALUE_SIZE])) {
    let found = file.map_or(Some(&value[..]), |file| find(file, key));
    assert_eq!(found, Some(&value[..]));
}

fn read_pairs(finds: bool, count: u64, seed: u64, lookups: u64) {
    let chosen = |i| pair_of(mix((seed << 32) + i) % count);
    let first = chosen(0);
    let start = Instant::now();
    let file = finds.then(open);
    let opened = start.elapsed();
    look_up(file.as_ref(), &first);
    let answered = start.elapsed();
    say("open-nanoseconds", opened.as_nanos());
    say("nanoseconds", answered.as_nanos());
    for i in 1..=lookups {
        look_up(file.as_ref(), &chosen(i));
    }
    say("lookups", u128::from(lookups));
    std::io::stdin().read_to_end(&mut Vec::new()).expect("the end");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |argument| number(argument) as u64;
    match arguments[..] {
        ["make", count] => make(number(count)),
        [how @ ("find" | "nothing"), count, seed, lookups] => {
            read_pairs(how == "find", number(count), number(seed), number(lookups));
        }
        _ => panic!("make COUNT, or find|nothing COUNT SEED LOOKUPS"),
    }
}
