//! Replays the traces of `tests/traces` through the crate; its README.md says what a trace is. The C runner,
//! `tests/c/contract/traces.c`, gives the same answers, and checks `errno` too, which Rust doesn't see.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use filz::mmap::MAlloc;
use filz::stack::{Mark, StackAllocator};
use filz::Packed;

/// What both heaps can do.
trait Heap: GlobalAlloc {
    fn reset(&mut self);
    fn used(&self) -> usize;
    fn blocks(&self) -> Option<usize> {
        None
    }
    fn mark(&self) -> Option<Mark> {
        None
    }
    fn rewind(&mut self, _: Mark) {}
    /// What offsets count from, where that is known before the first block.
    fn base(&self) -> Option<usize> {
        None
    }
}

impl Heap for Packed<MAlloc> {
    fn reset(&mut self) {
        self.0.reset().expect("nothing was synced");
    }
    fn used(&self) -> usize {
        self.stats().map_or(0, |stats| stats.used)
    }
    fn blocks(&self) -> Option<usize> {
        self.stats().ok().map(|stats| stats.blocks)
    }
}

/// A stack allocator whose buffer begins at a multiple of 4,096, and is dirty.
#[repr(C, align(4096))]
struct Aligned<const N: usize> {
    _padding: [usize; 510],
    stack: Packed<StackAllocator<N>>,
}

impl<const N: usize> Aligned<N> {
    fn boxed() -> Box<dyn Heap> {
        let mut heap = Box::new(Aligned { _padding: [0; 510], stack: Packed(StackAllocator::<N>::new()) });
        // SAFETY: nothing else is in the buffer yet, and what is written there ends with the reset.
        unsafe { heap.stack.alloc(Layout::from_size_align(N, 1).unwrap()).write_bytes(0xDB, N) };
        heap.stack.reset();
        heap
    }
}

// SAFETY: the stack's own.
unsafe impl<const N: usize> GlobalAlloc for Aligned<N> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.stack.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.stack.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.stack.realloc(block, layout, new_size) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.stack.dealloc(block, layout) }
    }
}

impl<const N: usize> Heap for Aligned<N> {
    fn reset(&mut self) {
        self.stack.reset();
    }
    fn used(&self) -> usize {
        self.stack.stats().used
    }
    fn mark(&self) -> Option<Mark> {
        Some(self.stack.mark())
    }
    fn rewind(&mut self, mark: Mark) {
        // SAFETY: a trace doesn't look at blocks that it has ended.
        unsafe { self.stack.rewind(mark) }
    }
    fn base(&self) -> Option<usize> {
        Some(self as *const Self as usize + 4096)
    }
}

fn open(kind: &str, capacity: usize) -> Result<Box<dyn Heap>, &'static str> {
    Ok(match (kind, capacity) {
        ("mmap", _) => Box::new(Packed(MAlloc::new().capacity(capacity))),
        ("stack", 0x10) => Aligned::<0x10>::boxed(),
        ("stack", 0x40) => Aligned::<0x40>::boxed(),
        ("stack", 0x100) => Aligned::<0x100>::boxed(),
        ("stack", 0x400) => Aligned::<0x400>::boxed(),
        ("stack", 0x1000) => Aligned::<0x1000>::boxed(),
        ("stack", 0x10000) => Aligned::<0x10000>::boxed(),
        _ => return Err("no such heap"),
    })
}

fn page_size() -> usize {
    let heap = MAlloc::new().capacity(1 << 20);
    heap.open().unwrap();
    heap.stats().unwrap().page_size
}

/// `12`, `0xC`, `12K`, `12M`, `page`, `12*page`
fn term(text: &str) -> Option<usize> {
    if let Some((factor, unit)) = text.split_once('*') {
        return Some(term(factor)?.wrapping_mul(term(unit)?));
    }
    match text {
        "page" => return Some(page_size()),
        "max" => return Some(usize::MAX),
        "half" => return Some(isize::MAX as usize),
        _ => {}
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return usize::from_str_radix(digits, 16).ok();
    }
    let (digits, unit) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    Some(digits.parse::<usize>().ok()?.wrapping_mul(unit))
}

fn number(text: &str) -> Result<usize, &'static str> {
    let sum = text.split('+').try_fold(0usize, |sum, part| {
        let mut terms = part.split('-');
        let first = term(terms.next()?)?;
        terms.try_fold(sum.wrapping_add(first), |sum, less| Some(sum.wrapping_sub(term(less)?)))
    });
    sum.ok_or("no number")
}

struct Block {
    at: *mut u8,
    size: usize,
    align: usize,
}

impl Block {
    fn layout(&self) -> Layout {
        Layout::from_size_align(self.size, self.align).unwrap()
    }
}

struct Trace<'a> {
    heap: Box<dyn Heap>,
    base: Option<usize>,
    blocks: HashMap<&'a str, Block>,
    marks: HashMap<&'a str, Mark>,
}

type Outcome = Result<(), &'static str>;

fn check(holds: bool, otherwise: &'static str) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(otherwise)
    }
}

impl<'a> Trace<'a> {
    fn compare(&mut self, got: *mut u8, expected: &str, before: *mut u8) -> Outcome {
        match expected {
            "ENOMEM" | "EINVAL" => return check(got.is_null(), "a block"),
            _ => check(!got.is_null(), "no block")?,
        }
        if expected == "same" {
            return check(got == before, "another address");
        }
        let base = *self.base.get_or_insert(got as usize >> 21 << 21);
        check(got as usize - base == number(expected)?, "another offset")
    }

    fn alloc(&mut self, name: Option<&'a str>, size: &str, align: &str, result: &str, zeroed: bool) -> Outcome {
        let (size, align) = (number(size)?, number(align)?);
        // What Rust can't even ask for has failed.
        let layout = match Layout::from_size_align(size, align) {
            Ok(layout) => layout,
            Err(_) => {
                let reason = if align.is_power_of_two() { "ENOMEM" } else { "EINVAL" };
                return check(result == reason, "no layout");
            }
        };
        // SAFETY: both heaps allocate size 0 as they do size 1.
        let at = unsafe {
            match zeroed {
                true => self.heap.alloc_zeroed(layout),
                false => self.heap.alloc(layout),
            }
        };
        let block = Block { at, size, align };
        if !at.is_null() {
            check(!zeroed || is_filled(&block, 0, size), "not zero")?;
            name.and_then(|name| self.blocks.insert(name, block));
        }
        self.compare(at, result, at)
    }

    fn realloc(&mut self, name: &str, size: &str, result: &str) -> Outcome {
        let size = number(size)?;
        let block = self.blocks.get_mut(name).ok_or("no such block")?;
        let before = block.at;
        if Layout::from_size_align(size, block.align).is_err() {
            return check(result == "ENOMEM", "no layout");
        }
        // SAFETY: the block is the heap's, with this layout.
        let at = unsafe { self.heap.realloc(before, block.layout(), size) };
        if !at.is_null() {
            *block = Block { at, size, align: block.align };
        }
        self.compare(at, result, before)
    }

    fn block(&self, name: &str) -> Result<&Block, &'static str> {
        self.blocks.get(name).ok_or("no such block")
    }

    fn fill(&self, name: &str, byte: &str, from: usize) -> Outcome {
        let block = self.block(name)?;
        let count = block.size.checked_sub(from).ok_or("no number")?;
        let byte = number(byte)? as u8;
        // SAFETY: the block is the trace's, and large enough.
        unsafe { block.at.add(from).write_bytes(byte, count) };
        Ok(())
    }

    fn check(&self, name: &str, byte: &str, count: Option<usize>) -> Outcome {
        let block = self.block(name)?;
        let count = count.unwrap_or(block.size);
        check(count <= block.size, "no number")?;
        check(is_filled(block, number(byte)? as u8, count), "other contents")
    }

    fn run(&mut self, words: &[&'a str]) -> Outcome {
        match *words {
            [] => Ok(()),
            [name, "=", "alloc", size, align, "->", result] => self.alloc(Some(name), size, align, result, false),
            [name, "=", "zeroed", size, align, "->", result] => self.alloc(Some(name), size, align, result, true),
            ["alloc", size, align, "->", result] => self.alloc(None, size, align, result, false),
            ["zeroed", size, align, "->", result] => self.alloc(None, size, align, result, true),
            ["realloc", name, size, "->", result] => self.realloc(name, size, result),
            ["fill", name, byte] => self.fill(name, byte, 0),
            ["fill", name, byte, from] => self.fill(name, byte, number(from)?),
            ["check", name, byte] => self.check(name, byte, None),
            ["check", name, byte, count] => self.check(name, byte, Some(number(count)?)),
            ["used", bytes] => check(self.heap.used() == number(bytes)?, "another number of bytes used"),
            ["blocks", count] => check(self.heap.blocks() == Some(number(count)?), "another number of blocks"),
            ["dealloc", name] => {
                let block = self.block(name)?;
                // SAFETY: the block is the heap's, with this layout.
                unsafe { self.heap.dealloc(block.at, block.layout()) };
                Ok(())
            }
            ["mark", name] => {
                let mark = self.heap.mark().ok_or("no marks")?;
                self.marks.insert(name, mark);
                Ok(())
            }
            ["rewind", name] => {
                let mark = *self.marks.get(name).ok_or("no such mark")?;
                self.heap.rewind(mark);
                Ok(())
            }
            ["reset"] => {
                self.heap.reset();
                Ok(())
            }
            _ => Err("no such operation"),
        }
    }
}

fn is_filled(block: &Block, byte: u8, count: usize) -> bool {
    // SAFETY: the block is the trace's, and at least that large; what was never written, the heap's file or the dirty
    // buffer has written.
    unsafe { std::slice::from_raw_parts(block.at, count) }.iter().all(|&found| found == byte)
}

/// What is wrong, and in which line.
fn replay(text: &str) -> Result<(), String> {
    let mut trace = None;
    for (line, text) in (1..).zip(text.lines()) {
        let words: Vec<&str> = text.split('#').next().unwrap_or("").split_whitespace().collect();
        let outcome = match (&mut trace, &words[..]) {
            (_, []) => Ok(()),
            (Some(trace), words) => Trace::run(trace, words),
            (None, ["heap", kind, capacity]) => number(capacity).and_then(|capacity| {
                let heap = open(kind, capacity)?;
                let base = heap.base();
                trace = Some(Trace { heap, base, blocks: HashMap::new(), marks: HashMap::new() });
                Ok(())
            }),
            (None, _) => Err("the first line must be: heap stack|mmap BYTES"),
        };
        outcome.map_err(|wrong| format!("{line}: {wrong}"))?;
    }
    trace.map(drop).ok_or_else(|| "an empty trace".into())
}

fn traces_in(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces").join(directory);
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "trace"));
    paths.sort();
    paths
}

#[test]
fn every_trace_passes() {
    let paths = traces_in("");
    assert!(paths.len() >= 40);
    let replay_file = |path: &PathBuf| {
        let wrong = replay(&fs::read_to_string(path).unwrap()).err()?;
        Some(format!("{}:{wrong}", path.file_name()?.to_string_lossy()))
    };
    let failures: Vec<String> = paths.iter().filter_map(replay_file).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    println!("{} traces", paths.len());
}

#[test]
fn a_trace_with_a_wrong_expectation_is_refused() {
    let paths = traces_in("wrong");
    assert!(!paths.is_empty());
    for path in paths {
        assert!(replay(&fs::read_to_string(&path).unwrap()).is_err(), "{}", path.display());
    }
}
