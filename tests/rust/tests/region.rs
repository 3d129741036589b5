//! A stack allocator in memory that the program names. On targets without a system, tests/bare has more.

#![cfg_attr(feature = "nightly", feature(allocator_api))]

use std::alloc::{GlobalAlloc, Layout};
use std::mem::MaybeUninit;
use std::sync::Barrier;
use std::thread;

use allocator_api2::vec::Vec as VecIn;
use filz::stack::StackRegion;

fn memory(bytes: usize) -> &'static mut [MaybeUninit<u8>] {
    Box::leak(vec![MaybeUninit::uninit(); bytes].into_boxed_slice())
}

#[test]
fn a_region_without_memory_is_empty_and_allocates_nothing() {
    let region = StackRegion::empty();
    // SAFETY: the size isn't 0.
    assert!(unsafe { region.alloc(Layout::new::<u8>()) }.is_null());
    assert_eq!((region.stats().capacity, region.stats().used), (0, 0));
    assert!(!region.owns(&region));
}

#[test]
fn memory_too_small_for_the_header_is_refused_and_larger_memory_is_accepted_later() {
    static REGION: StackRegion = StackRegion::empty();
    assert!(!REGION.init(memory(0)));
    assert!(!REGION.init(memory(8)));
    assert!(REGION.init(memory(256)));
    assert!(!REGION.init(memory(256)));
}

#[test]
fn collections_fill_a_region_to_its_end() {
    static REGION: StackRegion = StackRegion::empty();
    let bytes = memory(1000);
    let addresses = bytes.as_ptr_range();
    assert!(REGION.init(bytes));
    let mut numbers = VecIn::new_in(&REGION);
    while numbers.try_reserve_exact(1).is_ok() {
        numbers.push(numbers.len() as u8);
    }
    let filled = numbers.as_ptr_range();
    assert!(addresses.start.cast() < filled.start && filled.end <= addresses.end.cast());
    assert_eq!(numbers.len(), REGION.stats().capacity);
    assert!(REGION.stats().capacity > 1000 - 4 * std::mem::size_of::<usize>());
    assert!(numbers.iter().enumerate().all(|(at, &number)| number == at as u8));
}

#[test]
fn only_one_of_many_threads_gives_a_region_its_memory() {
    const THREADS: usize = 8;
    for _ in 0..200 {
        let (region, start) = (StackRegion::empty(), Barrier::new(THREADS));
        let give = || {
            start.wait();
            let given = region.init(memory(256));
            // SAFETY: the size isn't 0.
            assert!(!unsafe { region.alloc(Layout::new::<u8>()) }.is_null());
            usize::from(given)
        };
        let given: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(give)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((given, region.stats().used), (1, THREADS));
    }
}
