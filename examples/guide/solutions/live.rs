//! Chapter 6, exercise 1: a global allocator that counts what is alive, on top of one that never frees: how far apart
//! are the two?

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use filz::mmap::MAlloc;

struct Counted {
    heap: MAlloc,
    live: AtomicUsize,
    peak: AtomicUsize,
}

impl Counted {
    fn more(&self, block: *mut u8, size: usize) -> *mut u8 {
        if !block.is_null() {
            let live = self.live.fetch_add(size, Relaxed).wrapping_add(size);
            self.peak.fetch_max(live, Relaxed);
        }
        block
    }

    fn less(&self, size: usize) {
        self.live.fetch_sub(size, Relaxed);
    }
}

// SAFETY: what the heap promises; to count never unwinds (the additions wrap).
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.more(self.heap.alloc(layout), layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.more(self.heap.alloc_zeroed(layout), layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let moved = self.more(self.heap.realloc(block, layout, new_size), new_size);
        if !moved.is_null() {
            self.less(layout.size());
        }
        moved
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.less(layout.size());
        self.heap.dealloc(block, layout);
    }
}

#[global_allocator]
static HEAP: Counted = Counted { heap: MAlloc::new(), live: AtomicUsize::new(0), peak: AtomicUsize::new(0) };

fn main() {
    let before = HEAP.live.load(Relaxed);
    let mut letters = 0;
    for round in 0..1000 {
        letters += format!("{round:1000}").len(); // a text of 1,000 bytes or more, which then is dropped
    }
    assert_eq!(letters, 1_000_000);
    assert_eq!(HEAP.live.load(Relaxed), before, "all of it was given back");

    let peak = HEAP.peak.load(Relaxed);
    let used = HEAP.heap.stats().expect("an open heap").used;
    assert!(peak < 20_000, "{peak} bytes at the most");
    assert!(used > 1_000_000, "{used} bytes were allocated");
    println!("a peak of less than 20,000 bytes alive, in a heap of more than 1,000,000");
}
