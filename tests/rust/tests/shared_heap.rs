//! C and Rust share one heap: the program's global allocator. Four threads make blocks, half of them in C, hand them to
//! each other, and each side checks and grows what the other made. The C side is `tests/rust/partner.c`.

use std::alloc::{alloc, realloc, Layout};
use std::ffi::c_void;
use std::mem::{align_of, size_of};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread;

use filz::mmap::MAlloc;
use filz::stack::StackAllocator;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new().capacity(256 << 20);

const THREADS: usize = 4;
const ROUNDS: u32 = 2_000;

#[repr(C)]
struct Block {
    size: u32,
    sum: u32,
    // `size` bytes follow
}

#[link(name = "partner", kind = "static")]
extern "C" {
    fn partner_is_whole(block: *const Block) -> bool;
    fn partner_make(heap: *mut c_void, size: u32, seed: u32) -> *mut Block;
    fn partner_make_on_stack(stack: *mut c_void, size: u32, seed: u32) -> *mut Block;
    fn partner_grow(heap: *mut c_void, block: *mut Block, size: u32, seed: u32) -> *mut Block;
}

/// A block on its way from one thread to another.
#[derive(Clone, Copy)]
struct Parcel(*mut Block);

// SAFETY: a block has one owner at a time, the thread that holds the parcel.
unsafe impl Send for Parcel {}

fn layout(size: u32) -> Layout {
    Layout::from_size_align(size_of::<Block>() + size as usize, align_of::<Block>()).unwrap()
}

/// The bytes after the header.
///
/// # Safety
///
/// The block is alive, has `size` bytes after its header, and is used by no other thread.
unsafe fn bytes<'a>(block: *mut Block) -> &'a mut [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(block.add(1).cast(), (*block).size as usize) }
}

fn sum_of(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(16_777_619))
}

/// # Safety
///
/// `block` has room for `size` bytes after its header.
unsafe fn fill(block: *mut Block, size: u32, seed: u32) {
    // SAFETY: the caller's promise; every byte is written before it is read.
    unsafe {
        block.add(1).cast::<u8>().write_bytes(seed as u8, size as usize);
        (*block).size = size;
        (*block).sum = sum_of(bytes(block));
    }
}

fn rust_make(size: u32, seed: u32) -> *mut Block {
    // SAFETY: the layout's size isn't zero, and the block is as large as it says.
    unsafe {
        let block = alloc(layout(size)).cast::<Block>();
        assert!(!block.is_null());
        fill(block, size, seed);
        block
    }
}

/// # Safety
///
/// `block` came from this heap, by either side, and is the caller's.
unsafe fn rust_grow(block: *mut Block, size: u32, seed: u32) -> *mut Block {
    // SAFETY: the caller's promise; C made it with the same layout.
    unsafe {
        let grown = realloc(block.cast(), layout((*block).size), layout(size).size()).cast::<Block>();
        assert!(!grown.is_null());
        assert_eq!((*grown).sum, sum_of(bytes(grown)), "what the other side wrote came along");
        fill(grown, size, seed);
        grown
    }
}

/// Makes a block, hands it on, takes one from another thread; checks, grows and keeps that.
fn work(number: u32, next: Sender<Parcel>, inbox: Receiver<Parcel>) -> Vec<Parcel> {
    let heap = ALLOCATOR.as_ptr();
    let mut kept = Vec::new();
    for round in 0..ROUNDS {
        let size = (round * 37 + number * 11) % 600;
        let seed = round + number;
        let made = match (round + number) % 2 {
            0 => rust_make(size, seed),
            // SAFETY: the heap is open: this thread's stack of blocks lies in it.
            _ => unsafe { partner_make(heap, size, seed) },
        };
        assert!(ALLOCATOR.owns(made));
        next.send(Parcel(made)).unwrap();
        let Parcel(block) = inbox.recv().unwrap();
        // SAFETY: the thread before made or kept it for us; each block is sent once.
        unsafe {
            assert!(partner_is_whole(block), "C reads what the other thread wrote");
            assert_eq!((*block).sum, sum_of(bytes(block)), "and so does Rust");
            let grown = match round % 3 {
                0 => rust_grow(block, (*block).size + 50, seed),
                1 => partner_grow(heap, block, (*block).size + 50, seed),
                _ => block,
            };
            assert!(!grown.is_null());
            kept.push(Parcel(grown));
        }
    }
    kept
}

#[test]
fn c_and_rust_exchange_blocks_on_four_threads() {
    let (senders, inboxes): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| channel()).unzip();
    let workers: Vec<_> = inboxes
        .into_iter()
        .enumerate()
        .map(|(number, inbox)| {
            let next = senders[(number + 1) % THREADS].clone();
            thread::spawn(move || work(number as u32, next, inbox))
        })
        .collect();
    drop(senders);
    let kept: Vec<Parcel> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    assert_eq!(kept.len(), THREADS * ROUNDS as usize);
    for &Parcel(block) in &kept {
        // SAFETY: the threads have ended, and nothing is freed.
        assert!(unsafe { partner_is_whole(block) }, "still whole when all is done");
    }
    println!("{} blocks, {ROUNDS} rounds in each of {THREADS} threads", kept.len());
}

#[test]
fn c_and_rust_share_a_stack_allocator_on_four_threads() {
    static STACK: StackAllocator<{ 1 << 20 }> = StackAllocator::new();
    let makers: Vec<_> = (0..THREADS as u32)
        .map(|number| {
            thread::spawn(move || {
                let make = |round| {
                    // SAFETY: a stack lives in a static; it is never reset.
                    let block = unsafe { partner_make_on_stack(STACK.as_ptr(), round % 200, number + round) };
                    assert!(STACK.owns(block));
                    Parcel(block)
                };
                (0..1_000).map(make).collect::<Vec<_>>()
            })
        })
        .collect();
    for Parcel(block) in makers.into_iter().flat_map(|maker| maker.join().unwrap()) {
        // SAFETY: the threads have ended, and the blocks live on.
        unsafe {
            assert!(partner_is_whole(block));
            assert_eq!((*block).sum, sum_of(bytes(block)));
        }
    }
}
