//! What other people's tests and programs are linked with: an allocator, and a line when they end. The allocator is MAlloc
//! or, with `--cfg system`, the system's, whose blocks are counted.

use std::ffi::{c_char, c_int, c_ulong};
use std::fs::File;
use std::io::Read;

#[cfg(not(system))]
#[global_allocator]
static ALLOCATOR: filz::mmap::MAlloc = filz::mmap::MAlloc::new();

#[cfg(not(system))]
fn used() -> Option<(usize, usize)> {
    ALLOCATOR.stats().ok().map(|heap| (heap.blocks, heap.used))
}

#[cfg(system)]
#[global_allocator]
static ALLOCATOR: system::Counted = system::Counted;

#[cfg(system)]
use system::used;

#[cfg(system)]
mod system {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    static BLOCKS: AtomicUsize = AtomicUsize::new(0);
    static LIVE: AtomicUsize = AtomicUsize::new(0);
    static PEAK: AtomicUsize = AtomicUsize::new(0);

    /// Blocks, and the most bytes that were allocated at a time.
    pub fn used() -> Option<(usize, usize)> {
        Some((BLOCKS.load(Relaxed), PEAK.load(Relaxed)))
    }

    fn count(block: *mut u8, size: usize) -> *mut u8 {
        if !block.is_null() {
            BLOCKS.fetch_add(1, Relaxed);
            PEAK.fetch_max(LIVE.fetch_add(size, Relaxed) + size, Relaxed);
        }
        block
    }

    pub struct Counted;

    // SAFETY: the system's allocator does it all.
    unsafe impl GlobalAlloc for Counted {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            count(System.alloc(layout), layout.size())
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            count(System.alloc_zeroed(layout), layout.size())
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            System.dealloc(block, layout);
            LIVE.fetch_sub(layout.size(), Relaxed);
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            let grown = System.realloc(block, layout, size);
            if !grown.is_null() {
                LIVE.fetch_sub(layout.size(), Relaxed);
            }
            count(grown, size)
        }
    }
}

extern "C" {
    fn dprintf(file: c_int, format: *const c_char, ...) -> c_int;
}

/// The most memory that the process had, in KiB. Nothing here allocates.
fn resident() -> Option<c_ulong> {
    let mut status = [0; 4096];
    let size = File::open("/proc/self/status").ok()?.read(&mut status).ok()?;
    let peak = std::str::from_utf8(&status[..size]).ok()?.split("VmHWM:").nth(1)?;
    peak.split_whitespace().next()?.parse().ok()
}

extern "C" fn report() {
    let line = match cfg!(system) {
        true => c"system: %zu blocks, %zu bytes, %lu KiB resident\n",
        false => c"filz: %zu blocks, %zu bytes, %lu KiB resident\n",
    };
    if let (Some((blocks, bytes)), Some(kib)) = (used(), resident()) {
        // SAFETY: the line's three numbers; C's buffer, not the heap, holds the text.
        unsafe { dprintf(2, line.as_ptr(), blocks, bytes, kib) };
    }
}

#[used]
#[link_section = ".fini_array"]
static AT_EXIT: extern "C" fn() = report;
