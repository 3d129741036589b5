//! A test program on `MAlloc::with_capacity`.

mod suite;

use filz::mmap::MAlloc;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new().capacity(CAPACITY);

const CAPACITY: usize = 64 << 20;

#[test]
fn the_capacity_is_the_one_that_was_set() {
    assert_eq!(ALLOCATOR.stats().expect("open").capacity, CAPACITY);
}
