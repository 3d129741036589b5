//! What the allocators are asked to do.

use std::alloc::{alloc, Layout};
use std::arch::asm;
use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::thread;
use std::time::Instant;

use crate::heaps::Heap;
use crate::say;

/// Small blocks are 16 to 79 bytes, aligned to 8. Inlined, since a program's compiler knows the alignment of a type.
#[inline]
fn small(i: usize) -> Layout {
    Layout::from_size_align(16 + i % 64, 8).expect("a power of two")
}

/// What the compiler can't see through, as `black_box`, which would store the value to the stack and load it again.
#[inline]
pub fn escape(value: usize) {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {} */", in(reg) value, options(nostack, preserves_flags)) };
}

/// Writes the first word of a block that must have been had.
#[inline]
fn touch(block: *mut u8) -> *mut u8 {
    assert!(!block.is_null());
    // SAFETY: at least 16 bytes, and nobody else's.
    unsafe { block.cast::<u32>().write_volatile(1) };
    escape(block as usize);
    block
}

/// Small blocks, each touched and none freed, from the global allocator.
pub fn blocks_on(threads: usize, count: usize) {
    let each = count / threads;
    let allocate = move || {
        for i in 0..each {
            // SAFETY: no layout is empty.
            touch(unsafe { alloc(small(i)) });
        }
    };
    let others: Vec<_> = (1..threads).map(|_| thread::spawn(allocate)).collect();
    allocate();
    others.into_iter().for_each(|other| other.join().expect("a thread that returns"));
}

/// The same from a heap.
pub fn blocks(heap: &impl Heap, count: usize) {
    for i in 0..count {
        touch(heap.allocate(small(i)));
    }
}

/// The fast path alone, as in c/fast.c: the piece in the middle of many, from memory that earlier rounds have touched.
pub fn fast(heap: &mut impl Heap, pieces: usize, rounds: usize) {
    const PIECE: usize = 2000;
    const ROUNDS_BEFORE: usize = 4;
    let mut blocks = vec![std::ptr::null_mut(); pieces * PIECE];
    let mut times = Vec::with_capacity(pieces * (ROUNDS_BEFORE + rounds));
    for _ in 0..ROUNDS_BEFORE + rounds {
        let mut start = Instant::now();
        for piece in blocks.chunks_mut(PIECE) {
            for (i, block) in piece.iter_mut().enumerate() {
                *block = touch(heap.allocate(small(i)));
            }
            let end = Instant::now();
            times.push(end - start);
            start = end;
        }
        heap.reset();
    }
    let timed = &mut times[pieces * ROUNDS_BEFORE..];
    timed.sort();
    say("fast-picoseconds", timed[timed.len() / 2].as_nanos() * 1000 / PIECE as u128);
}

/// A vector that is pushed to.
pub fn vector(elements: usize) {
    let mut numbers = Vec::new();
    for i in 0..elements as u64 {
        numbers.push(i);
    }
    say("size", (black_box(&numbers).capacity() * size_of::<u64>()) as u128);
    std::mem::forget(numbers);
}

/// Parses a JSON document into a tree.
pub fn json(path: &str) {
    let text = fs::read_to_string(path).expect("the document");
    let tree: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    say("records", tree.as_array().map_or(0, Vec::len) as u128);
    std::mem::forget(tree);
}

/// An index of a text: for each word the places where it stands.
pub fn words(path: &str) {
    let text = fs::read_to_string(path).expect("the text");
    let mut index: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, word) in text.split_ascii_whitespace().enumerate() {
        match index.get_mut(word) {
            Some(places) => places.push(place),
            None => drop(index.insert(word.to_owned(), vec![place])),
        }
    }
    say("words", index.len() as u128);
    std::mem::forget(index);
}
