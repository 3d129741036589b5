//! Two threads on one heap: each makes strings, and the first thread reads them once both are done.

use filz::mmap::MAlloc;
use std::thread;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new();

fn fill() -> Vec<String> {
    (0..100_000).map(|i| i.to_string()).collect()
}

fn main() {
    let threads = [thread::spawn(fill), thread::spawn(fill)];
    let texts = threads.map(|thread| thread.join().expect("a thread that doesn't panic"));

    let numbered = texts.iter().flat_map(|texts| texts.iter().enumerate());
    let wrong = numbered.filter(|(i, text)| text.parse() != Ok(*i)).count();
    let heap = ALLOCATOR.stats().expect("the first allocation has opened it");
    println!("{} blocks by {} threads, {wrong} wrong", heap.blocks, heap.threads);
}
