//! 100,000 blocks from the global allocator whose layout the compiler knows, and as many of 16 to 79 bytes whose layout
//! it doesn't: the run that callgrind counts.

use std::alloc::{alloc, Layout};
use std::hint::black_box;

use filz::mmap::MAlloc;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new().capacity(64 << 20);

fn main() {
    for i in 0..100_000 {
        assert!(!with_known_layout().is_null());
        let layout = Layout::from_size_align(16 + i % 64, 8).expect("8 is a power of two");
        assert!(!with_any_layout(black_box(layout)).is_null());
    }
}

#[inline(never)]
fn with_known_layout() -> *mut u8 {
    // SAFETY: the size isn't 0.
    unsafe { alloc(Layout::new::<[u64; 5]>()) }
}

#[inline(never)]
fn with_any_layout(layout: Layout) -> *mut u8 {
    // SAFETY: the size isn't 0.
    unsafe { alloc(layout) }
}
