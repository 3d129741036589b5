//! An inverted index, word to lines, which four threads build on one heap: the text, and the lines of each word, are in
//! the heap, and all references to them end with it.
//!
//! ```sh
//! cargo run --bin inverted-index -- TEXT WORD...
//! ```

#![forbid(unsafe_code)]

use allocator_api2::vec::Vec as VecIn;
use filz::mmap::MAlloc;
use filz::Arena;
use std::collections::BTreeMap;
use std::error::Error;
use std::{env, fs, thread};

const THREADS: usize = 4;

/// The lines of each word, in order.
type Index<'a> = BTreeMap<&'a str, VecIn<u32, &'a MAlloc>>;

fn index_of<'a>(heap: &'a MAlloc, lines: &[(u32, &'a str)]) -> Index<'a> {
    let mut index = Index::new();
    for &(number, line) in lines {
        for word in line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let numbers = index.entry(word).or_insert(VecIn::new_in(heap));
            if numbers.last() != Some(&number) {
                numbers.push(number);
            }
        }
    }
    index
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (path, words) = arguments.split_first().ok_or("usage: inverted-index TEXT WORD...")?;

    let heap = MAlloc::new();
    heap.open()?; // to see the error; the first allocation would open it too
    let text = heap.try_alloc_str(&fs::read_to_string(path)?)?;
    text.make_ascii_lowercase();
    let lines: Vec<(u32, &str)> = (1..).zip(text.lines()).collect();

    // Each thread has a part of the lines, in order, so the lines of a word are in order when the parts are joined.
    let parts = lines.chunks(lines.len().div_ceil(THREADS).max(1));
    let parts: Vec<Index> = thread::scope(|scope| {
        let threads: Vec<_> = parts.map(|part| scope.spawn(|| index_of(&heap, part))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread that doesn't panic")).collect()
    });
    let mut index = Index::new();
    for (word, lines) in parts.into_iter().flatten() {
        index.entry(word).or_insert(VecIn::new_in(&heap)).extend(lines);
    }

    let stats = heap.stats()?;
    println!("{} words in {} lines, {} bytes, {} threads", index.len(), lines.len(), stats.used, stats.threads);
    for word in words {
        match index.get(&*word.to_ascii_lowercase()) {
            Some(lines) => println!("{word}: {lines:?}"),
            None => println!("{word}: nowhere"),
        }
    }
    Ok(())
}
