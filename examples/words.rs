//! An index of the words of a text, built by the first run and found by each later one, in the file words-rs.filz.
//!
//! ```sh
//! cargo run --bin words -- TEXT WORD...
//! ```
//!
//! Nothing is loaded or parsed the second time, because the pointers in the heap are still valid.

use allocator_api2::{boxed::Box as BoxIn, vec::Vec as VecIn};
use filz::mmap::{In, MAlloc};
use std::collections::BTreeMap;
use std::error::Error;
use std::time::SystemTime;
use std::{env, fs};

/// What is in the heap, and how this compiler lays it out. Change the number when the types below change.
const TAG: u64 = 0x776f_7264_7330_3031;

filz::static_heap! {
    static HEAP: Words = MAlloc::new().path(c"words-rs.filz").persistent(TAG);
}

/// A vector that may be in the heap, because its allocator is no address.
type HeapVec<T> = VecIn<T, In<Words>>;

struct Word {
    text: HeapVec<u8>,
    lines: HeapVec<u32>,
}

struct Index {
    size: u64,
    modified: Option<SystemTime>,
    lines: u32,
    words: HeapVec<Word>, // sorted
}

fn copy<T: Copy>(items: &[T]) -> HeapVec<T> {
    let mut copy = VecIn::with_capacity_in(items.len(), In::NEW);
    copy.extend_from_slice(items);
    copy
}

/// Collects on the program's own heap, then copies what the next run needs.
fn build(text: &str, of: &fs::Metadata) -> Index {
    let mut places: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut lines = 0;
    for line in text.lines() {
        lines += 1;
        for word in line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            places.entry(word.to_lowercase()).or_default().push(lines);
        }
    }
    let mut words = VecIn::with_capacity_in(places.len(), In::NEW);
    for (word, lines) in &places {
        words.push(Word { text: copy(word.as_bytes()), lines: copy(lines) });
    }
    Index { size: of.len(), modified: of.modified().ok(), lines, words }
}

/// Sets the root last: a run that is killed before leaves the root of an earlier run, or none.
fn build_in_heap(path: &str, of: &fs::Metadata) -> Result<&'static Index, Box<dyn Error>> {
    let index = build(&fs::read_to_string(path)?, of);
    let index: &Index = BoxIn::leak(BoxIn::new_in(index, In::<Words>::NEW));
    HEAP.set_root(index)?;
    Ok(index)
}

fn look_up(index: &Index, text: &str) {
    match index.words.binary_search_by(|word| word.text[..].cmp(text.as_bytes())) {
        Ok(at) => {
            let lines = &index.words[at].lines;
            println!("{text}: {} times, last in line {}", lines.len(), lines[lines.len() - 1]);
        }
        Err(_) => println!("{text}: nowhere"),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (path, words) = arguments.split_first().ok_or("usage: words TEXT WORD...")?;
    let metadata = fs::metadata(path)?;

    HEAP.open().map_err(|error| format!("words-rs.filz: {error}"))?;
    // SAFETY: the tag says that every root in this file is an `Index` that `build_in_heap` made, by a program of the
    // same layout; it leads to vectors in the same heap, and none that is set is changed.
    let found = unsafe { HEAP.root::<Index>() };
    let found = found.filter(|index| index.size == metadata.len() && index.modified == metadata.modified().ok());
    let index = match found {
        Some(index) => index,
        None => build_in_heap(path, &metadata)?,
    };
    let how = if found.is_some() { "found" } else { "built" };
    println!("{how}: {} words in {} lines", index.words.len(), index.lines);
    words.iter().for_each(|word| look_up(index, word));
    Ok(())
}
