//! `persistent_index make FORMAT WORDS` writes an index to a file in the working directory; `persistent_index find
//! FORMAT` has it again and looks up a word. The formats: a persistent heap of filz's, JSON, and rkyv's, read in three
//! ways.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::time::Instant;

use allocator_api2::boxed::Box as BoxIn;
use allocator_api2::vec::Vec as VecIn;
use filz::mmap::{In, MAlloc};
use filz_bench::{number, say};
use rkyv::rancor::Error;

filz::static_heap! {
    static HEAP: Words = MAlloc::new().path(c"index.filz").persistent(1);
}

type HeapVec<T> = VecIn<T, In<Words>>;

struct HeapWord {
    text: HeapVec<u8>,
    lines: HeapVec<u32>,
}

#[derive(serde::Serialize, serde::Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Word {
    text: String,
    lines: Vec<u32>,
}

/// The n-th of the words, which are sorted.
fn word(n: usize) -> Word {
    let lines = (0..1 + n % 7).map(|i| (n + i * 1000) as u32).collect();
    Word { text: format!("word{n:08}"), lines }
}

fn make(format: &str, words: usize) {
    match format {
        "filz" => make_heap(words),
        "json" => {
            let words: Vec<Word> = (0..words).map(word).collect();
            let mut file = BufWriter::new(File::create("index.json").expect("a file"));
            serde_json::to_writer(&mut file, &words)
                .and_then(|()| file.flush().map_err(serde_json::Error::io))
                .expect("written");
        }
        "rkyv" => {
            let words: Vec<Word> = (0..words).map(word).collect();
            fs::write("index.rkyv", rkyv::to_bytes::<Error>(&words).expect("bytes")).expect("written");
        }
        _ => panic!("no such format"),
    }
}

fn copy<T: Copy>(items: &[T]) -> HeapVec<T> {
    let mut copy = VecIn::with_capacity_in(items.len(), In::NEW);
    copy.extend_from_slice(items);
    copy
}

fn make_heap(count: usize) {
    let mut words = VecIn::with_capacity_in(count, In::<Words>::NEW);
    for Word { text, lines } in (0..count).map(word) {
        words.push(HeapWord { text: copy(text.as_bytes()), lines: copy(&lines) });
    }
    let root: &HeapVec<HeapWord> = BoxIn::leak(BoxIn::new_in(words, In::<Words>::NEW));
    HEAP.set_root(root).and_then(|()| HEAP.sync()).expect("a heap on the disk");
    say("bytes", HEAP.stats().expect("open").used as u128);
}

/// How many lines the word is in.
fn find(format: &str, text: &str) -> usize {
    match format {
        "filz" => find_in_heap(text),
        "serde_json" => {
            let words: Vec<Word> = serde_json::from_slice(&fs::read("index.json").expect("a file")).expect("JSON");
            find_owned(words, text)
        }
        "rkyv, deserialized" => {
            let bytes = fs::read("index.rkyv").expect("a file");
            let words = rkyv::access::<rkyv::Archived<Vec<Word>>, Error>(&bytes).expect("what rkyv wrote");
            find_owned(rkyv::deserialize::<Vec<Word>, Error>(words).expect("words"), text)
        }
        "rkyv, mapped and checked" => {
            let bytes = map("index.rkyv");
            find_archived(rkyv::access::<_, Error>(&bytes).expect("what rkyv wrote"), text)
        }
        "rkyv, mapped" => {
            let bytes = map("index.rkyv");
            // SAFETY: the file is as `make` has written it.
            find_archived(unsafe { rkyv::access_unchecked(&bytes) }, text)
        }
        _ => panic!("no such format"),
    }
}

fn find_in_heap(text: &str) -> usize {
    HEAP.open().expect("a heap");
    // SAFETY: this tag's roots are all made by `make_heap`, in this very program.
    let words = unsafe { HEAP.root::<HeapVec<HeapWord>>() }.expect("a root");
    let at = words.binary_search_by(|word| word.text[..].cmp(text.as_bytes())).expect("there");
    words[at].lines.len()
}

/// A program that reads an index to use it doesn't free it before its end.
fn find_owned(words: Vec<Word>, text: &str) -> usize {
    let at = words.binary_search_by(|word| word.text[..].cmp(text)).expect("there");
    let lines = words[at].lines.len();
    std::mem::forget(words);
    lines
}

fn map(path: &str) -> memmap2::Mmap {
    // SAFETY: the file isn't written to meanwhile.
    unsafe { memmap2::Mmap::map(&File::open(path).expect("a file")) }.expect("a mapping")
}

fn find_archived(words: &rkyv::Archived<Vec<Word>>, text: &str) -> usize {
    let at = words.binary_search_by(|word| word.text[..].cmp(text)).expect("there");
    words[at].lines.len()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["make", format, words] => make(format, number(words)),
        ["find", format] => {
            let start = Instant::now();
            let lines = find(format, &word(6).text);
            say("nanoseconds", start.elapsed().as_nanos());
            assert_eq!(lines, 7);
        }
        _ => panic!("make FORMAT WORDS, or find FORMAT"),
    }
}
