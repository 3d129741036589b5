//! The workloads, the same for every allocator: the global one of each program in `src/bin`, or one that is borrowed.

pub mod heaps;
mod measure;
mod out_of_core;
pub mod workloads;

pub use measure::{measure, say};
use workloads as run;

/// A program whose global allocator is the peer: `PEER WORKLOAD ARGUMENT...`.
pub fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match arguments[..] {
        ["blocks", count, threads] => measure(|| run::blocks_on(number(threads), number(count))),
        ["vector", elements] => measure(|| run::vector(number(elements))),
        ["json", path] => measure(|| run::json(path)),
        ["words", path] => measure(|| run::words(path)),
        _ => panic!("blocks COUNT THREADS, vector ELEMENTS, json FILE, or words FILE"),
    }
}

pub fn number(argument: &str) -> usize {
    argument.parse().expect("a number")
}
