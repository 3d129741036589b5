//! Local heaps: the fast path of `<filz/local.h>` in Rust, so that the compiler can inline it. The rest is in C.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::{fmt, hint, ptr};

use crate::ffi;
use crate::global::{usual_global_alloc, Exact};
use crate::mmap::MAlloc;

/// A part of a [`MAlloc`] that one thread allocates from without a call into C.
///
/// It takes pieces of 64 KiB from the heap, and allocates from them inline, as the crate
/// [bumpalo](https://docs.rs/bumpalo) does. A block of more than 8 KiB that doesn't fit into the tail of the piece, or
/// one with an alignment of more than 64, comes from the heap. The functions are those of [`Arena`](crate::Arena), and
/// of `Allocator` for `&Local` with one of the features that have it.
///
/// ```
/// use filz::mmap::MAlloc;
/// use filz::{Arena, Local};
///
/// struct Node<'a> {
///     number: u32,
///     next: Option<&'a Node<'a>>,
/// }
///
/// let heap = MAlloc::new();
/// let local = Local::new(&heap);
/// let mut list: Option<&Node> = None;
/// for number in 0..1000 {
///     list = Some(local.try_alloc(Node { number, next: list })?);
/// }
/// let last = list.unwrap();
/// assert_eq!((last.number, last.next.unwrap().number), (999, 998));
/// # Ok::<(), filz::AllocError>(())
/// ```
///
/// # Lifetimes
///
/// A local heap borrows its heap, so the heap can't be reset, published or dropped meanwhile. A value borrows the local
/// heap. When a local heap is dropped, the tail of its piece goes back to the heap, if that has allocated nothing after
/// it. If it is forgotten, the tail is lost until a reset.
///
/// For values that live as long as the heap, put the local heap into the heap, where it is never dropped:
///
/// ```
/// use filz::mmap::MAlloc;
/// use filz::{AllocError, Arena, Local};
/// use std::thread;
///
/// fn squares(heap: &MAlloc) -> Result<Vec<&u64>, AllocError> {
///     let local: &Local = heap.try_alloc(Local::new(heap))?;
///     (0..100).map(|i| Ok(&*local.try_alloc(i * i)?)).collect()
/// }
///
/// let heap = MAlloc::new();
/// let [some, others] = thread::scope(|scope| {
///     [(); 2].map(|()| scope.spawn(|| squares(&heap))).map(|thread| thread.join().unwrap())
/// });
/// assert_eq!(some?[9], others?[9]);
/// # Ok::<(), AllocError>(())
/// ```
///
/// # Threads
///
/// A local heap may be sent to another thread, but not shared. Each thread has its own, on the same heap. Values are
/// sent and shared like any others.
///
/// # What the heap sees
///
/// A piece is one block of the heap. [`stats`](MAlloc::stats) counts all of it as used, until the tail is given back.
/// `<filz/local.h>` has the whole contract.
pub struct Local<'heap> {
    local: UnsafeCell<ffi::filz_local>,
    heap: &'heap MAlloc,
}

// SAFETY: <filz/local.h>: one thread at a time may use it, whichever that is. The heap is `Sync`.
unsafe impl Send for Local<'_> {}

impl<'heap> Local<'heap> {
    /// A local heap of `heap`. Nothing is opened or allocated yet.
    #[must_use]
    pub const fn new(heap: &'heap MAlloc) -> Self {
        // FILZ_LOCAL_INIT
        let local = ffi::filz_local { heap: heap.as_ptr().cast(), end: ptr::null_mut(), left: 0 };
        Local { local: UnsafeCell::new(local), heap }
    }

    /// The heap that it allocates from.
    #[inline]
    pub const fn heap(&self) -> &'heap MAlloc {
        self.heap
    }

    #[cold]
    fn alloc_slow(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: filz_local_alloc_slow: the heap is borrowed, so it is where it was.
        unsafe { ffi::filz_local_alloc_slow(self.local.get(), size, align).cast() }
    }
}

impl fmt::Debug for Local<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: no other thread has a reference to it, and nothing that this one calls changes it meanwhile.
        let left = unsafe { (*self.local.get()).left };
        f.debug_struct("Local").field("heap", self.heap).field("left", &left).finish()
    }
}

impl Drop for Local<'_> {
    fn drop(&mut self) {
        // SAFETY: filz_local_close: the heap is borrowed, so it wasn't reset or closed.
        unsafe { ffi::filz_local_close(self.local.get()) };
    }
}

// SAFETY: <filz/local.h>: a block is as large and as aligned as asked for, overlaps no other, and lives until the
// heap's reset or close; nothing unwinds.
unsafe impl Exact for Local<'_> {
    /// As filz_local_alloc.
    #[inline]
    unsafe fn exact_alloc(&self, size: usize, align: usize) -> *mut u8 {
        let local = self.local.get();
        // SAFETY: no other thread has a reference to it, and this function keeps none.
        let (end, left) = unsafe { ((*local).end, (*local).left & !(align - 1)) };
        if size > left || align > ffi::FILZ_LOCAL_ALIGN as usize {
            return self.alloc_slow(size, align);
        }
        // SAFETY: the caller promises that `size` isn't 0, so there is a piece, of which `left` bytes are left or more.
        unsafe {
            if end.is_null() {
                hint::unreachable_unchecked();
            }
            (*local).left = left - size;
            end.sub(left).cast()
        }
    }

    #[inline]
    unsafe fn exact_alloc_zeroed(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: filz_local_alloc_zeroed: the heap is borrowed, so it is where it was.
        unsafe { ffi::filz_local_alloc_zeroed(self.local.get(), size, align).cast() }
    }

    #[inline]
    unsafe fn exact_realloc(&self, block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
        // SAFETY: filz_local_realloc: the caller promises that `block` came from here, and is so large and so aligned.
        unsafe { ffi::filz_local_realloc(self.local.get(), block.cast(), size, align, new_size).cast() }
    }
}

usual_global_alloc!([] Local<'_>);
