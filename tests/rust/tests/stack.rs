//! A test program on a `StackAllocator`.

mod suite;

use filz::stack::{StackAllocator, Stats};
use std::env;
use std::fs;

#[global_allocator]
static ALLOCATOR: StackAllocator<CAPACITY> = StackAllocator::new();

const CAPACITY: usize = 64 << 20;

#[test]
fn the_allocator_describes_itself() {
    let block = vec![1u8; 10_000];
    assert!(ALLOCATOR.owns(block.as_ptr()));
    assert!(!ALLOCATOR.owns(&0));
    let Stats { capacity, used, .. } = ALLOCATOR.stats();
    assert_eq!(capacity, CAPACITY);
    assert!((10_000..capacity).contains(&used));
}

#[test]
fn a_static_does_not_make_the_program_file_larger() {
    let program = fs::metadata(env::current_exe().unwrap()).unwrap();
    assert!(program.len() < CAPACITY as u64 / 2);
}
