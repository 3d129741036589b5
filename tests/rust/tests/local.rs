//! Local heaps. src/forbidden.rs tests what the lifetimes forbid; tests/values.rs has what all heaps do.

#![cfg_attr(feature = "nightly", feature(allocator_api))]

use std::alloc::{GlobalAlloc, Layout};
use std::{mem, thread};

use allocator_api2::vec::Vec as VecIn;
use filz::mmap::MAlloc;
use filz::{AllocError, Arena, Local};

const PIECE: usize = 64 << 10;

fn address<T>(value: &T) -> usize {
    value as *const T as usize
}

#[test]
fn values_are_adjacent_in_one_block_of_the_heap() {
    let heap = MAlloc::new().capacity(1 << 20);
    let local = Local::new(&heap);
    let first = address(local.try_alloc(0u32).unwrap());
    for i in 1..PIECE / 4 {
        assert_eq!(address(local.try_alloc(i as u32).unwrap()), first + 4 * i);
    }
    assert_eq!(heap.stats().unwrap().blocks, 1);
    local.try_alloc(0u32).unwrap();
    assert_eq!(heap.stats().unwrap().blocks, 2);
}

#[test]
fn a_drop_returns_the_unused_memory_to_the_heap() {
    let heap = MAlloc::new().capacity(1 << 20);
    drop(Local::new(&heap));
    assert!(heap.stats().is_err(), "it didn't even open the heap");
    for _ in 0..100 {
        let local = Local::new(&heap);
        assert_eq!(local.try_alloc_slice_copy(&[1u8; 100]), Ok(&mut [1; 100][..]));
        assert!(heap.stats().unwrap().used >= PIECE);
    }
    assert!(heap.stats().unwrap().used < PIECE);
}

#[test]
fn blocks_of_any_size_and_alignment_are_aligned() {
    let heap = MAlloc::new().capacity(64 << 20);
    let local = Local::new(&heap);
    let mut blocks = Vec::new();
    for round in 0..4 {
        for size in (1..300).chain([8191, 8192, 8193, 16384, 65536]) {
            let layout = Layout::from_size_align(size, 1 << ((size * 7 + round) % 10)).unwrap();
            let block = local.try_alloc_layout(layout).unwrap().as_ptr();
            assert_eq!(block as usize % layout.align(), 0);
            assert!(heap.owns(block) && heap.owns(block.wrapping_add(size - 1)));
            blocks.push((block as usize, block as usize + size));
        }
    }
    blocks.sort_unstable();
    assert!(blocks.windows(2).all(|pair| pair[0].1 <= pair[1].0));
}

#[test]
fn a_heap_without_room_for_a_piece_is_used_to_its_last_byte() {
    let heap = MAlloc::new().capacity(PIECE);
    let local = Local::new(&heap);
    while local.try_alloc(0u8).is_ok() {}
    let stats = heap.stats().unwrap();
    assert_eq!((stats.used, local.try_alloc(0u8)), (stats.capacity, Err(AllocError)));
}

#[test]
fn collections_grow_in_place_and_zeroed_blocks_are_zero() {
    let mut heap = MAlloc::new().capacity(16 << 20);
    for _ in 0..2 {
        let local = Local::new(&heap);
        let mut numbers = VecIn::new_in(&local);
        numbers.push(0u64);
        let first = address(&numbers[0]);
        numbers.extend(1..4096);
        assert_eq!((address(&numbers[0]), local.heap().stats().unwrap().blocks), (first, 1));
        numbers.extend(4096..100_000);
        assert!(numbers.iter().copied().eq(0..100_000));
        for size in [1, 100, 10_000, 100_000] {
            let layout = Layout::from_size_align(size, 1).unwrap();
            // SAFETY: it isn't empty, and as large as it says.
            let bytes = unsafe {
                let block = local.alloc_zeroed(layout);
                assert!(!block.is_null());
                std::slice::from_raw_parts_mut(block, size)
            };
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.fill(1);
        }
        drop(numbers);
        drop(local);
        heap.reset().unwrap();
    }
}

/// Values that outlive the threads that made them.
fn numbers<'heap>(heap: &'heap MAlloc, from: u64, count: u64) -> Vec<&'heap mut u64> {
    let local: &'heap Local<'heap> = heap.try_alloc(Local::new(heap)).unwrap();
    (from..from + count).map(|number| local.try_alloc(number).unwrap()).collect()
}

#[test]
fn threads_with_local_heaps_of_one_heap_share_no_value() {
    const ROUNDS: usize = 20;
    let mut heap = MAlloc::new().capacity(16 << 20);
    for _ in 0..ROUNDS {
        let all: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|i| {
                    scope.spawn({
                        let heap = &heap;
                        move || numbers(heap, i * 10_000, 10_000)
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.iter().map(|number| **number).eq(0..40_000));
        heap.reset().unwrap();
    }
    println!("{ROUNDS} rounds of 4 threads");
}

#[test]
fn each_thread_can_have_a_local_heap_of_a_static_heap() {
    static HEAP: MAlloc = MAlloc::new().capacity(1 << 20);
    thread_local! {
        static LOCAL: Local<'static> = Local::new(&HEAP);
    }
    let in_threads = || thread::spawn(|| LOCAL.with(|local| *local.try_alloc(7).unwrap())).join().unwrap();
    assert_eq!((0..100).map(|_| in_threads()).sum::<i32>(), 700);
    assert!(HEAP.stats().unwrap().used < 2 * PIECE, "each thread gave back what it hadn't allocated");
}

#[test]
fn a_local_heap_may_be_sent_to_another_thread_swapped_and_forgotten() {
    let heap = MAlloc::new().capacity(1 << 20);
    let (mut one, mut other) = (Local::new(&heap), Local::new(&heap));
    let first = address(one.try_alloc(1u8).unwrap());
    mem::swap(&mut one, &mut other);
    assert!(format!("{other:?}").ends_with("left: 65535 }"));
    let other = thread::scope(|scope| {
        scope
            .spawn(move || {
                assert_eq!(address(other.try_alloc(2u8).unwrap()), first + 1);
                other
            })
            .join()
            .unwrap()
    });
    assert_eq!(address(other.try_alloc(3u8).unwrap()), first + 2);
    mem::forget(other);
    assert_ne!(address(one.try_alloc(4u8).unwrap()), first + 3);
}
