//! Looks words up in the newest index that the builder has published, until the last one.
//!
//! ```sh
//! cargo run --bin index-worker -- TEXT
//! ```
//!
//! It knows from the text what each version must say, and counts the answers that are wrong. After every 100 answers it
//! asks whether there is a newer version. The same as worker.c.

use filz::mmap::MAlloc;
use std::error::Error;
use std::ffi::CStr;
use std::{env, fs, process, ptr, slice};

/// Made from index.h.
#[allow(non_camel_case_types)]
mod layout {
    include!("index_layout.rs");
}

/// A word of the text, and the number of its line.
struct Place<'a> {
    word: &'a str,
    line: usize,
}

fn places_in(text: &str) -> Vec<Place<'_>> {
    let lines = text.lines().enumerate();
    lines.flat_map(|(line, text)| text.split_ascii_whitespace().map(move |word| Place { word, line })).collect()
}

/// # Safety
///
/// At `items` there are `count` of them, in a heap that stays open as long as the slice is used.
unsafe fn slice_of<'a, T>(items: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        return &[];
    }
    // SAFETY: the caller's promise; and nobody changes a heap that is open to read.
    unsafe { slice::from_raw_parts(items, count) }
}

impl layout::index {
    fn find(&self, text: &str) -> Option<&layout::word> {
        // SAFETY: index.h; and a caller that has an `index` has its heap open. The same below.
        let words = unsafe { slice_of(self.words, self.word_count) };
        let found = words.binary_search_by(|word| word.text().cmp(text.as_bytes()));
        found.ok().map(|at| &words[at])
    }

    fn line(&self, number: u32) -> &layout::line {
        // SAFETY: as above.
        unsafe { &slice_of(self.lines, self.line_count)[number as usize] }
    }

    fn statistics(&self) -> &layout::statistics {
        // SAFETY: as above.
        unsafe { &*self.statistics }
    }
}

impl layout::statistics {
    fn most_frequent(&self) -> Option<&layout::word> {
        // SAFETY: as above, or null.
        unsafe { self.most_frequent.as_ref() }
    }
}

impl layout::word {
    fn text(&self) -> &[u8] {
        // SAFETY: as above: a C string.
        unsafe { CStr::from_ptr(self.text) }.to_bytes()
    }

    fn lines(&self) -> &[u32] {
        // SAFETY: as above.
        unsafe { slice_of(self.lines, self.count) }
    }
}

impl layout::line {
    fn has_word(&self, word: &layout::word) -> bool {
        // SAFETY: as above.
        let words = unsafe { slice_of(self.words, self.count) };
        words.iter().any(|&one| ptr::eq(one, word))
    }
}

/// Whether the index has this word in the lines where the text has it, and in no other.
fn is_right(index: &layout::index, places: &[Place], text: &str) -> bool {
    let first_place = |line| places.partition_point(|place| place.line < line);
    let first_line = index.version as usize;
    let places = &places[first_place(first_line)..first_place(first_line + layout::INDEX_LINES as usize)];
    let lines = places.iter().filter(|place| place.word == text).map(|place| (place.line - first_line) as u32);
    let word = index.find(text);
    let found = word.map_or(&[][..], layout::word::lines);
    lines.eq(found.iter().copied())
        && word.map_or(true, |word| found.iter().all(|&number| index.line(number).has_word(word)))
        && index.statistics().words == places.len()
        && index.statistics().most_frequent().map_or(0, |word| word.count) >= found.len()
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os().nth(1).ok_or("usage: index-worker TEXT")?;
    let text = fs::read_to_string(path)?;
    let places = places_in(&text);
    let mut texts = places.iter().map(|place| place.word).cycle();
    let (mut versions, mut lookups, mut wrong) = (0, 0, 0);
    let (mut version, mut last) = (0, false);
    while !last {
        let heap = MAlloc::new().path(layout::INDEX_PATH).read_only(layout::INDEX_TAG);
        heap.open()?;
        // SAFETY: the tag says that the root is an `index` of index.h, and that leads to nothing outside the heap.
        let index = unsafe { heap.root::<layout::index>() }.ok_or("there is no index")?;
        wrong += usize::from(index.version <= version); // any other version is newer
        version = index.version;
        last = index.last;
        versions += 1;
        loop {
            for text in texts.by_ref().take(100) {
                lookups += 1;
                wrong += usize::from(!is_right(index, &places, text));
            }
            if last || !heap.is_current() {
                break;
            }
        }
    }
    println!("{versions} versions, {lookups} lookups, {wrong} wrong");
    process::exit(i32::from(wrong > 0));
}
