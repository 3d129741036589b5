//! Prints how many bytes a vector of 10 million numbers uses, and how many it is large, as it is pushed to.

use filz::mmap::MAlloc;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new();

fn main() {
    let before = ALLOCATOR.stats().expect("Rust allocates before main").used;
    let mut numbers = Vec::new();
    for i in 0..10_000_000u64 {
        numbers.push(i);
    }
    let used = ALLOCATOR.stats().expect("the heap is open").used - before;
    assert!(numbers.iter().copied().eq(0..10_000_000));
    println!("{used} {}", numbers.capacity() * std::mem::size_of::<u64>());
}
