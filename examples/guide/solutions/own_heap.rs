//! Chapter 6, exercise 2: a bump allocator of one's own, as the program's global allocator: one buffer, one atomic, no
//! C.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const SIZE: usize = 1 << 20;

#[repr(C, align(4096))]
struct OwnHeap {
    buffer: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

// SAFETY: `used` moves atomically, so no two threads get the same bytes.
unsafe impl Sync for OwnHeap {}

impl OwnHeap {
    /// Where a block would begin and end, as offsets; `None` if it doesn't fit, or the sum would overflow.
    fn place(used: usize, layout: Layout) -> Option<(usize, usize)> {
        let start = used.checked_add(layout.align() - 1)? & !(layout.align() - 1);
        let end = start.checked_add(layout.size())?;
        if end <= SIZE {
            Some((start, end))
        } else {
            None
        }
    }
}

// SAFETY: blocks are disjoint, since `used` only grows, and aligned, since offsets are and the buffer is to 4096: more
// is refused. Nothing here panics.
unsafe impl GlobalAlloc for OwnHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > 4096 {
            return ptr::null_mut();
        }
        let mut used = self.used.load(Relaxed);
        while let Some((start, end)) = Self::place(used, layout) {
            match self.used.compare_exchange_weak(used, end, Relaxed, Relaxed) {
                Ok(_) => return self.buffer.get().cast::<u8>().add(start),
                Err(now) => used = now,
            }
        }
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP: OwnHeap = OwnHeap { buffer: UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0) };

fn main() {
    #[repr(align(256))]
    struct Wide(u8);

    let numbers: Vec<u64> = (0..1000).collect();
    let wide = Box::new(Wide(7));
    let texts: Vec<String> = numbers.iter().map(u64::to_string).collect();
    assert_eq!(&*wide as *const Wide as usize % 256, 0);
    assert_eq!(wide.0, 7);
    assert_eq!(texts.iter().map(String::len).sum::<usize>(), 10 + 2 * 90 + 3 * 900);

    let mut grown: Vec<u8> = Vec::new();
    assert!(grown.try_reserve(2 * SIZE).is_err(), "more than there is");
    grown.extend([1, 2, 3]);
    assert_eq!(grown, [1, 2, 3], "and what fits still fits");

    let threads: Vec<_> = (0..4u8).map(|i| std::thread::spawn(move || vec![i; 1000])).collect();
    for (i, thread) in threads.into_iter().enumerate() {
        let block = thread.join().expect("a thread that doesn't panic");
        assert!(block.iter().all(|&byte| usize::from(byte) == i), "nobody else writes to it");
    }
    println!("a Vec, a Box, a thousand Strings and four threads on a heap of 1 MiB");
}
