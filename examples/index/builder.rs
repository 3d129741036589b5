//! Builds 100 versions of an index, each in a new file, and publishes it under the name by which the workers read it.
//!
//! ```sh
//! cargo run --bin index-builder -- TEXT
//! ```
//!
//! The same as builder.c. A worker in C or in Rust reads what either of them has built.

use allocator_api2::vec::Vec as VecIn;
use filz::mmap::MAlloc;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;
use std::{env, fs, ptr, thread};

/// Made from index.h.
#[allow(non_camel_case_types)]
mod layout {
    include!("index_layout.rs");
}

const VERSIONS: usize = 100;

fn copy<'a, T: Copy>(heap: &'a MAlloc, items: &[T]) -> &'a [T] {
    let mut copy = VecIn::with_capacity_in(items.len(), heap);
    copy.extend_from_slice(items);
    copy.leak()
}

/// A C string.
fn copy_text(heap: &MAlloc, text: &str) -> *const std::os::raw::c_char {
    copy(heap, &[text.as_bytes(), b"\0"].concat()).as_ptr().cast()
}

/// Collects on the program's own heap, then copies what the workers need.
fn build<'a>(heap: &'a MAlloc, text: &[&str], version: usize) -> &'a layout::index {
    let mut places: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (number, line) in (0..).zip(text) {
        for word in line.split_ascii_whitespace() {
            places.entry(word).or_default().push(number);
        }
    }

    let words = places.iter().map(|(text, lines)| layout::word {
        text: copy_text(heap, text),
        lines: copy(heap, lines).as_ptr(),
        count: lines.len(),
    });
    let words = copy(heap, &words.collect::<Vec<_>>());
    let in_heap: BTreeMap<&str, &layout::word> = places.keys().copied().zip(words).collect();

    let lines = text.iter().map(|line| {
        let words: Vec<*const layout::word> = line.split_ascii_whitespace().map(|word| in_heap[word] as _).collect();
        layout::line { words: copy(heap, &words).as_ptr(), count: words.len() }
    });
    let lines = copy(heap, &lines.collect::<Vec<_>>());

    let statistics = layout::statistics {
        words: words.iter().map(|word| word.count).sum(),
        most_frequent: words.iter().max_by_key(|word| word.count).map_or(ptr::null(), |word| word),
    };
    let index = layout::index {
        version: version as u64,
        last: version == VERSIONS,
        words: words.as_ptr(),
        word_count: words.len(),
        lines: lines.as_ptr(),
        line_count: lines.len(),
        statistics: copy(heap, &[statistics]).as_ptr(),
    };
    &copy(heap, &[index])[0]
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os().nth(1).ok_or("usage: index-builder TEXT")?;
    let text = fs::read_to_string(path)?;
    let lines: Vec<&str> = text.lines().collect();
    for version in 1..=VERSIONS {
        let mut heap = MAlloc::options().persistent(layout::INDEX_TAG).open("index.new.filz")?;
        heap.reset()?; // a builder that was killed leaves a part of an index
        let lines = lines.iter().copied().skip(version).take(layout::INDEX_LINES as usize);
        heap.set_root(build(&heap, &lines.collect::<Vec<_>>(), version))?;
        heap.publish_c_str(layout::INDEX_PATH)?;
        thread::sleep(Duration::from_millis(10)); // so that workers see most versions
    }
    Ok(())
}
