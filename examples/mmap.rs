//! A heap that is a file: stores numbers in it, and prints where they are and how full the heap is.

use filz::mmap::MAlloc;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new();

fn main() {
    let squares: Vec<u64> = (0..1_000_000).map(|i| i * i).collect();
    println!("the last square is {}", squares[squares.len() - 1]);
    assert!(ALLOCATOR.owns(squares.as_ptr()));

    let heap = ALLOCATOR.stats().expect("the first allocation has opened it");
    match heap.path {
        Some(path) => println!("{} bytes used in {}", heap.used, String::from_utf8_lossy(path)),
        None => println!("{} bytes used in an unnamed file", heap.used),
    }
}
