//! What every global allocator must be good for; included by one binary for each.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc;
use std::thread;

#[test]
fn collections_keep_their_contents() {
    let numbers: Vec<u64> = (0..50_000).collect();
    assert!(numbers.iter().enumerate().all(|(i, &n)| i as u64 == n));

    let map: HashMap<u32, String> = (0..2_000).map(|i| (i, i.to_string())).collect();
    assert!(map.iter().all(|(number, text)| text.parse() == Ok(*number)));

    let mut tree: BTreeMap<u32, Box<u32>> = (0..2_000).map(|i| (i, Box::new(i))).collect();
    tree.retain(|number, _| number % 3 == 0);
    assert_eq!(tree.values().map(|boxed| **boxed).sum::<u32>(), (0..2_000).step_by(3).sum());

    let mut queue = VecDeque::new();
    for i in 0..10_000 {
        queue.push_back(i);
        if i % 2 == 1 {
            assert_eq!(queue.pop_front(), Some(i / 2));
        }
    }
}

#[test]
fn strings_grow_and_shrink() {
    let mut text = String::new();
    for i in 0..1_000 {
        text += &format!("{i},");
    }
    text.truncate(10);
    text.shrink_to_fit();
    assert_eq!(text, "0,1,2,3,4,");
    assert_eq!(text.repeat(3).to_uppercase().len(), 30);
}

#[test]
fn zeroed_vectors_are_zero() {
    for size in [1, 100, 4_096, 100_000] {
        let mut bytes = vec![0u8; size];
        assert!(bytes.iter().all(|&byte| byte == 0));
        bytes.fill(0xff);
    }
}

/// Programs read numbers from buffers of bytes, because every malloc aligns them so.
#[test]
fn a_byte_buffer_is_aligned_for_the_numbers_that_fit_into_it() {
    let mut kept = Vec::new();
    for size in (1..40).chain([4_097, 100_001]) {
        let usual = [8, 4, 2, 1].into_iter().find(|&align| align <= size).expect("1 fits");
        for bytes in [vec![0u8; size], vec![7u8; size], b"7".repeat(size)] {
            assert_eq!(bytes.as_ptr() as usize % usual, 0, "{size} bytes");
            kept.push((bytes, Box::new(1u8)));
        }
    }
    for (bytes, _) in &mut kept {
        bytes.reserve_exact(100);
        assert_eq!(bytes.as_ptr() as usize % 8, 0, "{} bytes grew by 100", bytes.len());
    }
}

#[test]
fn threads_allocate_at_the_same_time_and_exchange_blocks() {
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for id in 0..4u64 {
            let sender = sender.clone();
            scope.spawn(move || {
                for i in 0..500 {
                    sender.send((id, vec![id ^ i; 8])).unwrap();
                }
            });
        }
        drop(sender);
        let mut seen = [0; 4];
        for (id, block) in receiver {
            assert_eq!(block, vec![id ^ seen[id as usize]; 8]);
            seen[id as usize] += 1;
        }
        assert_eq!(seen, [500; 4]);
    });
}

#[test]
fn a_program_continues_after_a_caught_panic() {
    let mut kept = vec![String::from("before")];
    let caught = panic::catch_unwind(AssertUnwindSafe(|| {
        kept.push("during".repeat(100));
        panic::resume_unwind(Box::new(String::from("thrown")));
    }));
    assert_eq!(caught.unwrap_err().downcast_ref::<String>().unwrap(), "thrown");
    kept.push(String::from("after"));
    assert_eq!(kept.concat().len(), 6 + 600 + 5);
}

#[test]
fn a_block_that_does_not_fit_is_an_error_and_takes_no_memory() {
    let mut bytes: Vec<u8> = vec![1, 2, 3];
    for size in [crate::CAPACITY, isize::MAX as usize, usize::MAX] {
        assert!(bytes.try_reserve_exact(size).is_err(), "{size}");
    }
    bytes.try_reserve_exact(1_000).unwrap();
    assert_eq!(bytes, [1, 2, 3]);
}
