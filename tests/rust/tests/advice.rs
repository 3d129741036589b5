//! How a heap is read, as `/proc/self/smaps` says of its mappings: "rr" among their flags is at random, "sr" in order.

use filz::mmap::{Advice, ErrorKind, MAlloc};
use std::alloc::{GlobalAlloc, Layout};
use std::fs;

/// How many of the heap's mappings that can be read have each of the two flags, and neither.
fn mappings(heap: &MAlloc) -> [usize; 3] {
    let mut counts = [0; 3];
    let mut is_ours = false;
    for line in fs::read_to_string("/proc/self/smaps").unwrap().lines() {
        let start = line.split('-').next().and_then(|start| usize::from_str_radix(start, 16).ok());
        if let (Some(start), false) = (start, line.starts_with("VmFlags:")) {
            is_ours = heap.owns(start as *const u8);
        } else if is_ours && line.starts_with("VmFlags:") && line.contains(" rd ") {
            counts[if line.contains(" rr ") {
                0
            } else if line.contains(" sr ") {
                1
            } else {
                2
            }] += 1;
        }
    }
    counts
}

#[test]
#[cfg(target_os = "linux")]
fn the_heap_and_its_values_are_mapped_with_the_advice_given() {
    const LENGTH: usize = 1 << 20;
    let heap = MAlloc::new().capacity(16 << 20);
    assert_eq!(heap.advise(Advice::Random).unwrap_err().kind(), ErrorKind::Closed);
    // SAFETY: a block of `LENGTH` bytes, or null; it is zero, and lives as long as the heap is open.
    let value = unsafe {
        let block = heap.alloc_zeroed(Layout::from_size_align(LENGTH, 1).unwrap());
        assert!(!block.is_null());
        std::slice::from_raw_parts(block, LENGTH)
    };
    assert_eq!(mappings(&heap)[..2], [0, 0]);
    heap.advise(Advice::Random).unwrap();
    let [random, sequential, neither] = mappings(&heap);
    assert!(random > 0 && sequential == 0 && neither == 0);
    heap.advise_value(value, Advice::Sequential).unwrap();
    assert_eq!(mappings(&heap)[1], 1);
    for advice in [Advice::WillNeed, Advice::Cold, Advice::PageOut, Advice::Auto] {
        heap.advise_value(value, advice).unwrap();
        heap.advise(advice).unwrap();
    }
    assert_eq!(mappings(&heap)[..2], [0, 0]);
    assert!(value.iter().all(|&byte| byte == 0));
    assert_eq!(heap.advise_value(&LENGTH, Advice::Cold).unwrap_err().kind(), ErrorKind::Address);
}
