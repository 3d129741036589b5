//! `borrowed PEER blocks COUNT` or `borrowed PEER fast PIECES ROUNDS`: allocators that can be borrowed, all asked through
//! `Allocator::allocate`, on one thread.

use std::env;

use filz::{mmap::MAlloc, stack::StackAllocator};
use filz_bench::heaps::{Called, Heap, LocalHeap, Nothing};
use filz_bench::{measure, number, workloads};

static mut STACK: StackAllocator<{ 1 << 30 }> = StackAllocator::new();

fn run(mut heap: impl Heap, arguments: &[&str]) {
    measure(|| match *arguments {
        ["blocks", count] => workloads::blocks(&heap, number(count)),
        ["fast", pieces, rounds] => workloads::fast(&mut heap, number(pieces), number(rounds)),
        _ => panic!("blocks COUNT, or fast PIECES ROUNDS"),
    });
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let arguments: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let (peer, arguments) = arguments.split_first().expect("a peer");
    match *peer {
        "filz" => run(MAlloc::new(), arguments),
        "filz-local" => run(LocalHeap::default(), arguments),
        // SAFETY: the only reference to it.
        "filz-stack" => run(unsafe { &mut *std::ptr::addr_of_mut!(STACK) }, arguments),
        "bumpalo" => run(bumpalo::Bump::new(), arguments),
        "bump-scope" => run(<bump_scope::Bump>::new(), arguments),
        "bumpalo, called" => run(Called(bumpalo::Bump::new()), arguments),
        "bump-scope, called" => run(Called(<bump_scope::Bump>::new()), arguments),
        "none" => run(Nothing::default(), arguments),
        _ => panic!("no such peer"),
    }
}
