//! What the tests of other people's crates are linked with: MAlloc as their allocator, and a line when they end.

#![no_std]

use core::ffi::{c_char, c_int};
use filz::mmap::MAlloc;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new();

extern "C" {
    fn dprintf(file: c_int, format: *const c_char, ...) -> c_int;
}

extern "C" fn report() {
    if let Ok(heap) = ALLOCATOR.stats() {
        // SAFETY: the format's two numbers; C's buffer, not the heap, holds the text.
        unsafe { dprintf(2, c"filz: %zu blocks, %zu bytes\n".as_ptr(), heap.blocks, heap.used) };
    }
}

#[used]
#[link_section = ".fini_array"]
static AT_EXIT: extern "C" fn() = report;
