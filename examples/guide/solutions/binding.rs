//! Chapter 7, exercise 1: libfilz's stack allocator from Rust, with bindings written by hand: a buffer of Rust's, an
//! allocator of C's in it.

use std::ffi::c_void;
use std::mem::{size_of, MaybeUninit};

use filz as _; // links libfilz

/// `filz_stack` in <filz/stack.h>, which has its buffer after it.
#[repr(C)]
struct FilzStack {
    capacity: usize,
    used: usize,
}

extern "C" {
    fn filz_stack_init(memory: *mut c_void, bytes: usize) -> *mut FilzStack;
    fn filz_stack_alloc(this: *mut FilzStack, size: usize, align: usize) -> *mut c_void;
    fn filz_stack_mark(this: *const FilzStack) -> usize;
    fn filz_stack_rewind(this: *mut FilzStack, mark: usize);
}

#[repr(align(64))]
struct Memory(MaybeUninit<[u8; 1024]>);

fn main() {
    let mut memory = Memory(MaybeUninit::uninit());
    let start = memory.0.as_mut_ptr().cast::<u8>();
    // SAFETY: the memory is this function's, and outlives the allocator; nothing else touches it.
    unsafe {
        let stack = filz_stack_init(start.cast(), 1024);
        assert_eq!(stack.cast::<u8>(), start, "the header stands at the first aligned address");
        assert_eq!((*stack).capacity, 1024 - size_of::<FilzStack>(), "the rest is the buffer");

        let first = filz_stack_alloc(stack, 10, 1).cast::<u8>();
        assert_eq!(first as usize - start as usize, size_of::<FilzStack>(), "blocks begin after the header");
        let mark = filz_stack_mark(stack);
        assert_eq!(mark, 10);
        let second = filz_stack_alloc(stack, 8, 64);
        assert_eq!(second as usize % 64, 0);
        assert!(filz_stack_alloc(stack, 1024, 1).is_null(), "more than there is");
        filz_stack_rewind(stack, mark);
        assert_eq!(filz_stack_mark(stack), 10);
    }
    println!("an allocator of C's in 1024 bytes of Rust's: its first block is at {}", size_of::<FilzStack>());
}
