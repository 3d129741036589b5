//! Heaps beside the program's own: settings, errors, and both allocators as `Allocator`s of single collections.

#![cfg_attr(feature = "nightly", feature(allocator_api))]

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use filz::mmap::{ErrorKind, MAlloc, Page, PageKind};
use filz::stack::{StackAllocator, StackRegion};
use filz::Packed;
use std::alloc::{GlobalAlloc, Layout};
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::{fs, thread};

fn bytes(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// What holds of both allocators.
fn is_an_allocator<A: Allocator + Copy>(heap: A) {
    let mut numbers = Vec::new_in(heap);
    numbers.extend(0..1_000u64);
    let start = numbers.as_ptr();
    numbers.shrink_to_fit();
    numbers.extend(1_000..1_100);
    assert_eq!(numbers.as_ptr(), start, "the newest block grows where it stands");
    assert!(numbers.iter().copied().eq(0..1_100));

    for align in [1, 2, 64, 4_096] {
        let block = heap.allocate_zeroed(bytes(100, align)).unwrap();
        assert_eq!(block.len(), 100);
        assert_eq!(block.cast::<u8>().as_ptr() as usize % align, 0);
        // SAFETY: 100 bytes, just allocated.
        assert_eq!(unsafe { block.as_ref() }, [0; 100]);
    }

    // SAFETY: each block is given back with the layout that it has at that time.
    unsafe {
        let block = heap.allocate(bytes(10, 1)).unwrap().cast::<u8>();
        block.as_ptr().write_bytes(7, 10);
        let _newer = heap.allocate(bytes(1, 1)).unwrap();
        let block = heap.grow_zeroed(block, bytes(10, 1), bytes(20, 1)).unwrap();
        assert_eq!(block.as_ref(), [[7; 10], [0; 10]].concat());
        let block = heap.grow_zeroed(block.cast(), bytes(20, 1), bytes(30, 256)).unwrap();
        assert_eq!(block.as_ref(), [vec![7; 10], vec![0; 20]].concat());
        assert_eq!(block.cast::<u8>().as_ptr() as usize % 256, 0);
        let block = heap.shrink(block.cast(), bytes(30, 256), bytes(5, 1)).unwrap();
        assert_eq!(block.as_ref(), [7; 5]);
        heap.deallocate(block.cast(), bytes(5, 1));
    }
    assert!(heap.allocate(bytes(isize::MAX as usize, 1)).is_err());
    a_block_stays_where_its_address_suits(heap);
}

fn a_block_stays_where_its_address_suits<A: Allocator>(heap: A) {
    // SAFETY: each block is given back with the layout that it has at that time.
    unsafe {
        let block = heap.allocate(bytes(64, 64)).unwrap().cast::<u8>();
        assert_eq!(heap.shrink(block, bytes(64, 64), bytes(32, 8)).unwrap().cast(), block, "shrinking, aligned less");
        assert_eq!(heap.grow(block, bytes(32, 8), bytes(40, 1)).unwrap().cast(), block, "growing, aligned less");
        assert_eq!(heap.grow(block, bytes(40, 1), bytes(64, 64)).unwrap().cast(), block, "growing, aligned more");
        assert_eq!(heap.shrink(block, bytes(64, 64), bytes(64, 16)).unwrap().cast(), block, "of the same size");
        let odd = heap.allocate(bytes(3, 1)).unwrap().cast::<u8>();
        let odd = if odd.as_ptr() as usize % 2 == 0 { heap.allocate(bytes(3, 1)).unwrap().cast() } else { odd };
        odd.as_ptr().write_bytes(7, 3);
        let even = heap.shrink(odd, bytes(3, 1), bytes(2, 2)).unwrap();
        assert_eq!((even.cast::<u8>().as_ptr() as usize % 2, even.as_ref()), (0, &[7, 7][..]));
    }
}

#[test]
fn a_reference_to_a_malloc_is_an_allocator() {
    let mut heap = MAlloc::new();
    Vec::new_in(&heap).resize(60_000, 0xffu8);
    heap.reset().unwrap(); // the memory isn't zero any more
    is_an_allocator(&heap);
}

#[test]
fn a_reference_to_a_stack_allocator_is_an_allocator() {
    let mut heap = StackAllocator::<65536>::new();
    Vec::new_in(&heap).resize(60_000, 0xffu8);
    heap.reset();
    is_an_allocator(&heap);
}

/// A block of this size, after one that leaves the heap's end at an odd address.
fn after_an_odd_byte(heap: &impl GlobalAlloc, size: usize) -> *mut u8 {
    // SAFETY: no size is 0.
    unsafe {
        while heap.alloc(bytes(1, 1)) as usize % 8 != 0 {}
        heap.alloc(bytes(size, 1))
    }
}

fn aligns_as_malloc_does(heap: &impl GlobalAlloc) {
    for (size, usual) in [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (8, 8), (9, 8), (100, 8)] {
        assert_eq!(after_an_odd_byte(heap, size) as usize % usual, 0, "{size} bytes");
        // SAFETY: no size is 0; each block has the size that the next realloc says.
        unsafe {
            let block = after_an_odd_byte(heap, size);
            block.write_bytes(7, size);
            let zeros = heap.alloc_zeroed(bytes(size, 1));
            assert_eq!(zeros as usize % usual, 0, "{size} zeros");
            let larger = heap.realloc(block, bytes(size, 1), 1_000);
            assert_eq!(larger as usize % 8, 0, "{size} bytes that grew to 1,000");
            assert!((0..size).all(|i| *larger.add(i) == 7));
            let smaller = heap.realloc(larger, bytes(1_000, 1), size);
            assert_eq!(smaller, larger, "shrinking");
            assert_eq!(heap.realloc(smaller, bytes(size, 1), 50), larger, "it was aligned for 1,000 bytes");
            assert_eq!(heap.alloc(bytes(8, 256)) as usize % 256, 0);
        }
    }
    // SAFETY: no size is 0; the block has the size that the realloc says.
    unsafe {
        let block = after_an_odd_byte(heap, 2);
        assert_eq!(block as usize % 8, 2);
        assert_eq!(heap.realloc(block, bytes(2, 1), 3), block, "the newest, and aligned well enough for 3 bytes");
        assert_ne!(heap.realloc(block, bytes(3, 1), 4), block, "not for 4");
    }
}

#[test]
fn blocks_of_a_global_allocator_are_aligned_as_malloc_aligns_them() {
    aligns_as_malloc_does(&MAlloc::new());
    aligns_as_malloc_does(&StackAllocator::<65536>::new());
    let region = StackRegion::empty();
    assert!(region.init(std::vec![MaybeUninit::uninit(); 65_536].leak()));
    aligns_as_malloc_does(&region);
}

#[test]
fn packed_blocks_are_adjacent() {
    let (mapped, buffer) = (Packed(MAlloc::new()), Packed(StackAllocator::<4096>::new()));
    let blocks = |heap: &dyn GlobalAlloc| {
        // SAFETY: no size is 0; the block has the size that the realloc says.
        unsafe {
            let first = heap.alloc(bytes(9, 1)) as usize;
            let second = heap.alloc_zeroed(bytes(9, 1));
            assert_eq!(second as usize - first, 9);
            assert_eq!(heap.realloc(second, bytes(9, 1), 20), second);
            assert_eq!(heap.alloc(bytes(8, 1)) as usize - first, 29);
            assert_eq!(heap.alloc(bytes(8, 8)) as usize % 8, 0);
            heap.dealloc(second, bytes(20, 1));
        }
    };
    blocks(&mapped);
    blocks(&buffer);
    assert_eq!((mapped.stats().unwrap().blocks, buffer.stats().used % 8), (4, 0));
}

#[test]
fn pages_are_first_used_then_tail_then_free() {
    let heap = MAlloc::new().capacity(1 << 20);
    Box::leak(Box::new_in(1u8, &heap));
    let mut pages = [Page::default(); 256];
    let pages = heap.pages(0, &mut pages).unwrap();
    let kinds: std::vec::Vec<_> = pages.iter().map(|page| page.kind() as u8).collect();
    let place = |kind| kinds.iter().position(|&k| k == kind as u8);
    assert_eq!(place(PageKind::Used), Some(0));
    assert!(place(PageKind::Tail) > Some(1) && place(PageKind::Free) > place(PageKind::Tail), "{pages:?}");
    assert_eq!((pages[0].thread(), pages[1].thread()), (None, Some(1)));
}

#[test]
fn empty_blocks_take_no_memory() {
    let heap = StackAllocator::<16>::new();
    let empty = (&heap).allocate(bytes(0, 8)).unwrap().cast::<u8>();
    assert_eq!(empty.as_ptr() as usize % 8, 0);
    assert_eq!(heap.stats().used, 0);
    // SAFETY: the layouts are those of the blocks.
    let block = unsafe { (&heap).grow(empty, bytes(0, 8), bytes(3, 1)) }.unwrap();
    assert_eq!((block.len(), heap.stats().used), (3, 3));
    // SAFETY: the layouts are those of the blocks.
    let empty = unsafe { (&heap).shrink(block.cast(), bytes(3, 1), bytes(0, 1)) }.unwrap();
    assert_eq!((empty.len(), heap.stats().used), (0, 3));
}

#[test]
fn blocks_of_alignment_1_fill_a_stack_allocator_to_its_last_byte() {
    let heap = StackAllocator::<100>::new();
    for _ in 0..100 {
        Box::leak(Box::new_in(1u8, &heap));
    }
    assert_eq!(heap.stats().used, 100);
    assert!((&heap).allocate(bytes(1, 1)).is_err());
}

#[test]
fn an_empty_stack_allocator_allocates_nothing() {
    let heap = StackAllocator::<0>::new();
    assert!((&heap).allocate(bytes(1, 1)).is_err());
    assert_eq!((heap.stats().capacity, heap.stats().used), (0, 0));
}

#[test]
fn a_stack_allocator_rewinds_to_a_mark_and_resets_to_its_start() {
    let mut heap = StackAllocator::<1024>::new();
    let kept = Box::new_in(1u32, &heap);
    let mark = heap.mark();
    let ended = Box::into_raw_with_allocator(Box::new_in(2u32, &heap)).0;
    // SAFETY: the second box isn't used any more.
    unsafe { heap.rewind(mark) };
    assert_eq!(heap.mark(), mark);
    assert_eq!(&*Box::new_in(3u32, &heap) as *const u32, ended);
    assert_eq!(*kept, 1);
    drop(kept);
    heap.reset();
    assert_eq!(heap.stats().used, 0);
}

#[test]
fn several_threads_may_be_the_first_to_use_a_stack_allocator() {
    static HEAP: StackAllocator<65536> = StackAllocator::new();
    thread::scope(|scope| {
        for id in 0..4 {
            scope.spawn(move || {
                for _ in 0..100 {
                    assert_eq!(*Box::new_in(id, &HEAP), id);
                }
            });
        }
    });
    assert_eq!(HEAP.stats().used, 400 * 4);
}

#[test]
fn a_closed_heap_returns_an_error_until_it_is_opened() {
    let heap = MAlloc::new();
    assert_eq!(heap.stats().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(heap.pages(0, &mut [Page::default()]).unwrap_err().kind(), ErrorKind::Closed);
    assert!(!heap.owns(&heap));
    heap.open().unwrap();
    heap.open().unwrap();
    assert_eq!(heap.stats().unwrap().blocks, 0);
}

#[test]
fn a_heap_with_blocks_may_be_moved() {
    let heap = MAlloc::new().capacity(1 << 20);
    // SAFETY: the layout's size isn't zero, and the block is 8 bytes long.
    unsafe {
        let block = heap.alloc(Layout::new::<u64>()).cast::<u64>();
        block.write(7);
        let moved = std::boxed::Box::new(heap);
        let second = moved.alloc(Layout::new::<u64>()).cast::<u64>();
        second.write(8);
        assert_eq!((block.read(), second.read()), (7, 8));
        assert_eq!(moved.stats().unwrap().blocks, 2);
    }
}

#[test]
fn reset_ends_every_block_and_zeroed_blocks_are_zero_again() {
    let mut heap = MAlloc::new().capacity(1 << 20);
    for round in 0..3u8 {
        let block: NonNull<[u8]> = (&heap).allocate_zeroed(bytes(50_000, 8)).unwrap();
        // SAFETY: 50,000 bytes, just allocated.
        unsafe {
            assert!(block.as_ref().iter().all(|&byte| byte == 0), "round {round}");
            block.cast::<u8>().as_ptr().write_bytes(0xff, 50_000);
        }
        assert_eq!(heap.stats().unwrap().blocks, 1);
        heap.reset().unwrap();
    }
}

#[test]
fn a_vector_that_grows_to_millions_uses_little_more_than_its_size() {
    let heap = MAlloc::new();
    let mut numbers = Vec::new_in(&heap);
    for i in 0..10_000_000u64 {
        numbers.push(i);
    }
    let size = numbers.capacity() * 8;
    let used = heap.stats().unwrap().used;
    assert!((size..size / 10 * 11).contains(&used), "{used} bytes for {size}");
}

#[test]
fn the_file_of_a_heap_with_a_path_remains_after_a_drop() {
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/dropped.filz");
    {
        let heap = MAlloc::options().capacity(1 << 20).open(file).unwrap();
        Box::leak(Box::new_in(*b"look here", &heap));
        let stats = heap.stats().unwrap();
        assert_eq!(stats.path, Some(file.as_bytes()));
        assert_eq!(stats.capacity, 1 << 20);

        assert_eq!(MAlloc::options().open(file).unwrap_err().kind(), ErrorKind::InUse);
    }
    let content = fs::read(file).unwrap();
    assert!(content.windows(9).any(|window| window == b"look here"));
    drop(MAlloc::options().open(file).expect("unlocked by the drop"));
    fs::remove_file(file).unwrap();
}

#[test]
fn debug_output_shows_address_capacity_and_use() {
    let heap = MAlloc::new().path(c"/tmp/a \"name\".filz").capacity(1 << 20);
    let address = format!("{:?}", heap.as_ptr());
    let settings = r#"path: "/tmp/a \"name\".filz", capacity: 1048576, open: false }"#;
    assert_eq!(format!("{heap:?}"), format!("MAlloc {{ address: {address}, {settings}"));

    let heap = MAlloc::new();
    heap.open().unwrap();
    assert!(format!("{heap:?}").ends_with("path: None, capacity: default, open: true }"), "{heap:?}");

    let heap = StackAllocator::<64>::new();
    Box::leak(Box::new_in(1u8, &heap));
    let address = format!("{:?}", heap.as_ptr());
    assert_eq!(format!("{heap:?}"), format!("StackAllocator {{ address: {address}, capacity: 64, used: 1 }}"));
    assert!(format!("{:?}", StackRegion::empty()).ends_with("capacity: 0, used: 0 }"));
    assert!(format!("{:?}", Packed(heap)).starts_with("Packed(StackAllocator { "));
}

#[test]
fn the_crate_has_the_version_of_the_library() {
    let manifest = include_str!("../../../rust/Cargo.toml");
    let header = include_str!("../../../include/filz.h");
    let version = header.split("#define FILZ_VERSION \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(manifest.contains(&format!("\nversion = \"{version}\"\n")), "{version}");
}
