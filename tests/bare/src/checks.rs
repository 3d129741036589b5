//! What must be so on every target.

use alloc::alloc::{alloc, alloc_zeroed, realloc, Layout};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::alloc::GlobalAlloc;
use core::mem::MaybeUninit;
use core::{ptr, slice};

use filz::stack::StackRegion;

use crate::{ALLOCATOR, CAPACITY};

pub fn collections_keep_their_contents() {
    let tree: BTreeMap<u32, String> = (0..20).map(|number| (number, number.to_string())).collect();
    assert!(tree.iter().all(|(number, text)| text.parse() == Ok(*number)));

    let mut queue: VecDeque<Box<u64>> = VecDeque::new();
    for number in 0..40 {
        queue.push_back(Box::new(number));
        if number % 2 == 1 {
            assert_eq!(queue.pop_front(), Some(Box::new(number / 2)));
        }
    }
    assert!(ALLOCATOR.owns(&*queue[0]));
}

pub fn blocks_are_aligned_whole_and_apart() {
    let mut blocks = Vec::with_capacity(40);
    for number in 0..40 {
        let mut block = Block::new(1 + number % 7, 1 << (number % 7), number as u8);
        block.double();
        blocks.push(block);
    }
    check_all(&mut blocks);
}

pub fn zeroed_blocks_are_zero_in_used_memory() {
    let mark = ALLOCATOR.mark();
    drop(alloc::vec![0xff_u8; 1000]);
    // SAFETY: the vector has ended, and nothing else runs.
    unsafe { ALLOCATOR.rewind(mark) };
    let layout = Layout::new::<[u8; 1000]>();
    // SAFETY: the size isn't 0, and a block that isn't null has it.
    let zeroed = unsafe { slice::from_raw_parts(some(alloc_zeroed(layout)), layout.size()) };
    assert!(zeroed.iter().all(|&byte| byte == 0));
}

pub fn the_newest_block_grows_where_it_stands() {
    let layout = Layout::new::<[u8; 10]>();
    // SAFETY: the sizes aren't 0, and `layout` is the block's.
    let (older, newest, grown, moved) = unsafe {
        let older = some(alloc(layout));
        let newest = some(alloc(layout));
        older.write_bytes(7, layout.size());
        (older, newest, some(realloc(newest, layout, 100)), some(realloc(older, layout, 20)))
    };
    assert_eq!(grown, newest);
    assert_ne!(moved, older);
    // SAFETY: both blocks have 10 bytes.
    unsafe { assert_eq!(slice::from_raw_parts(moved, 10), slice::from_raw_parts(older, 10)) };
}

pub fn a_full_buffer_refuses_and_stays_as_it_is() {
    let mut bytes = Vec::new();
    assert!(bytes.try_reserve_exact(usize::MAX / 4).is_err());
    assert!(bytes.try_reserve_exact(CAPACITY + 1).is_err());
    while bytes.try_reserve_exact(1).is_ok() {
        bytes.push(bytes.len() as u8);
    }
    assert!(bytes.len() > CAPACITY / 2, "{} bytes", bytes.len());
    assert_eq!(ALLOCATOR.stats().used, CAPACITY);
    assert_eq!(ALLOCATOR.stats().capacity, CAPACITY);
    // SAFETY: the size isn't 0. (Of the function `alloc`, the compiler may leave out a call whose block isn't used.)
    assert!(unsafe { ALLOCATOR.alloc(Layout::new::<u8>()) }.is_null());
    assert!(bytes.iter().enumerate().all(|(at, &byte)| byte == at as u8));
}

pub fn a_region_without_memory_refuses() {
    static REGION: StackRegion = StackRegion::empty();
    static mut TOO_SMALL: [MaybeUninit<u8>; 4] = [MaybeUninit::uninit(); 4];
    // SAFETY: the only reference to it.
    assert!(!REGION.init(unsafe { &mut *ptr::addr_of_mut!(TOO_SMALL) }));
    // SAFETY: the size isn't 0.
    assert!(unsafe { REGION.alloc(Layout::new::<u8>()) }.is_null());
    assert_eq!((REGION.stats().capacity, REGION.stats().used), (0, 0));
}

pub fn a_region_is_given_memory_once() {
    static REGION: StackRegion = StackRegion::empty();
    static mut MEMORY: [MaybeUninit<u8>; 256] = [MaybeUninit::uninit(); 256];
    static mut MORE: [MaybeUninit<u8>; 256] = [MaybeUninit::uninit(); 256];
    // SAFETY: the only references to them.
    let (memory, more) = unsafe { (&mut *ptr::addr_of_mut!(MEMORY), &mut *ptr::addr_of_mut!(MORE)) };
    let (start, end) = (memory.as_ptr() as usize, memory.as_ptr() as usize + memory.len());
    assert!(REGION.init(memory));
    assert!(!REGION.init(more));
    fill(&REGION, start, end);
}

#[cfg(target_os = "none")]
pub fn a_region_lies_between_two_symbols_of_the_linker() {
    static REGION: StackRegion = StackRegion::empty();
    extern "C" {
        static mut __region_start: u8;
        static mut __region_end: u8;
    }
    // SAFETY: the linker script leaves the bytes between these to this function.
    #[allow(unused_unsafe)] // unsafe before Rust 1.82
    let (start, end) = unsafe { (ptr::addr_of_mut!(__region_start), ptr::addr_of_mut!(__region_end)) };
    // SAFETY: the same.
    assert!(unsafe { REGION.init_raw(start, end as usize - start as usize) });
    fill(&REGION, start as usize, end as usize);
}

/// Takes all that `region` has, which must lie within these addresses and be all of them but for the header.
fn fill(region: &StackRegion, start: usize, end: usize) {
    let mut taken = 0;
    loop {
        // SAFETY: the size isn't 0.
        let block = unsafe { region.alloc(Layout::new::<[u8; 4]>()) };
        if block.is_null() {
            break;
        }
        assert!(region.owns(block) && start <= block as usize && block as usize + 4 <= end);
        // SAFETY: the block has 4 bytes.
        unsafe { block.write_bytes(0xaa, 4) };
        taken += 4;
    }
    assert_eq!(region.stats().used, taken);
    assert!(end - start - taken < 3 * core::mem::size_of::<usize>() + 8);
}

fn some(block: *mut u8) -> *mut u8 {
    assert!(!block.is_null());
    block
}

/// A block that is filled with one byte.
#[derive(Clone, Copy)]
pub struct Block {
    start: *mut u8,
    size: usize,
    align: usize,
    byte: u8,
}

impl Block {
    pub fn new(size: usize, align: usize, byte: u8) -> Block {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: the size isn't 0.
        let start = some(unsafe { alloc(layout) });
        assert_eq!(start as usize % align, 0);
        // SAFETY: the block has as many bytes.
        unsafe { start.write_bytes(byte, size) };
        Block { start, size, align, byte }
    }

    /// Makes it twice as large.
    pub fn double(&mut self) {
        let layout = Layout::from_size_align(self.size, self.align).unwrap();
        self.size *= 2;
        // SAFETY: the block has this layout.
        self.start = some(unsafe { realloc(self.start, layout, self.size) });
        // SAFETY: the block has as many bytes now.
        unsafe { self.start.add(layout.size()).write_bytes(self.byte, layout.size()) };
    }
}

/// Each block holds what was put in, and none overlaps another.
pub fn check_all(blocks: &mut [Block]) {
    blocks.sort_unstable_by_key(|block| block.start);
    for pair in blocks.windows(2) {
        assert!(pair[0].start as usize + pair[0].size <= pair[1].start as usize, "two blocks overlap");
    }
    for block in blocks {
        // SAFETY: the block has as many bytes, and all are written.
        let bytes = unsafe { slice::from_raw_parts(block.start, block.size) };
        assert!(bytes.iter().all(|&byte| byte == block.byte), "a block was overwritten");
    }
}
