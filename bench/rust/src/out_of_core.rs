//! Peers of c/out_of_core that are Rust, as its `allocator_begin` and `allocator_allocate`: heaps in a file that the
//! program never has again. One thread allocates.

use std::cell::{Cell, RefCell};
use std::{env, ptr};

use disk_dlmalloc::{Advice, DiskDlmalloc};

thread_local! {
    static HEAP: RefCell<Option<DiskDlmalloc>> = const { RefCell::new(None) };
    /// What is left of lgalloc's last region: its address, and bytes.
    static LEFT: Cell<(*mut u8, usize)> = const { Cell::new((ptr::null_mut(), 0)) };
}

fn begin(advice: Option<Advice>) {
    let room = crate::number(&env::var("BENCH_ROOM").expect("bytes for the file"));
    HEAP.set(Some(DiskDlmalloc::new("out-of-core.disk-dlmalloc", room, advice)));
}

#[no_mangle]
pub extern "C" fn disk_dlmalloc_begin() {
    begin(None);
}

#[no_mangle]
pub extern "C" fn disk_dlmalloc_begin_random() {
    begin(Some(Advice::Random));
}

#[no_mangle]
pub extern "C" fn disk_dlmalloc_allocate(size: usize) -> *mut u8 {
    // SAFETY: a power of two.
    HEAP.with_borrow_mut(|heap| unsafe { heap.as_mut().expect("a heap that has begun").malloc(size, 8) })
}

/// Without the thread that returns memory to the system.
#[no_mangle]
pub extern "C" fn lgalloc_begin() {
    lgalloc::lgalloc_set_config(lgalloc::LgAlloc::new().enable().with_path(".".into()));
}

/// lgalloc has regions of 4 KiB or more, in powers of two: small blocks are cut from one after the other of 2 MiB.
#[no_mangle]
pub extern "C" fn lgalloc_allocate(size: usize) -> *mut u8 {
    const REGION: usize = 2 << 20;
    let size = size.next_multiple_of(8);
    let (next, left) = LEFT.get();
    if size <= left {
        LEFT.set((next.wrapping_add(size), left - size));
        return next;
    }
    // The handle is dropped, which keeps the region.
    let Ok((region, room, _)) = lgalloc::allocate::<u8>(size.max(REGION)) else { return ptr::null_mut() };
    if size < REGION {
        LEFT.set((region.as_ptr().wrapping_add(size), room - size));
    }
    region.as_ptr()
}
