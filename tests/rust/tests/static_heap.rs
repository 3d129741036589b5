//! A heap for collections that lie in it, declared and used without a line of unsafe code.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(feature = "nightly", feature(allocator_api))]

use allocator_api2::vec::Vec as VecIn;
use filz::mmap::{In, MAlloc};

filz::static_heap! {
    /// The program's own heap, too.
    #[global_allocator]
    pub static HEAP: Everything = MAlloc::new();
}

#[test]
fn a_static_heap_and_its_handle_need_no_unsafe_code() {
    let mut numbers = VecIn::new_in(In::<Everything>::NEW);
    numbers.extend(0..1_000u64);
    let text = String::from("of the program");
    assert!(HEAP.owns(numbers.as_ptr()) && HEAP.owns(text.as_ptr()));
}
