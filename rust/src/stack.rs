//! A heap that is a fixed buffer.
//!
//! ```
//! use filz::stack::StackAllocator;
//!
//! #[global_allocator]
//! static ALLOCATOR: StackAllocator<65536> = StackAllocator::new();
//!
//! fn main() {
//!     let words = vec!["no", "malloc", "here"];
//!     println!("{} words, {} bytes used", words.len(), ALLOCATOR.stats().used);
//! }
//! ```
//!
//! An allocation moves one number by one compare-and-swap. A block costs its size and the padding that its alignment
//! needs, and is given back when the allocator is reset or rewound, not when it is freed: only the newest block grows
//! and shrinks where it stands. The functions that take `&self` may be called from any thread and from a signal handler,
//! except [`rewind`](StackAllocator::rewind).

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::ffi;

/// A bump allocator with a buffer of `N` bytes inside itself.
///
/// A static of it is in .bss: the program file doesn't grow by `N`. It may be moved as long as nothing is allocated in
/// it.
#[repr(C)]
pub struct StackAllocator<const N: usize> {
    // All zero until first used, so that a static is too: `raw` writes its capacity.
    header: UnsafeCell<ffi::filz_stack>,
    buffer: UnsafeCell<MaybeUninit<[u8; N]>>,
}

/// How full a [`StackAllocator`] is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes in the buffer.
    pub capacity: usize,
    /// Bytes allocated so far, padding included.
    pub used: usize,
}

/// A place in a [`StackAllocator`] to come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(usize);

// SAFETY: <filz/stack.h>, THREADS: what takes `&self` may be called from any thread; `rewind` is the caller's to answer.
unsafe impl<const N: usize> Sync for StackAllocator<N> {}

impl<const N: usize> StackAllocator<N> {
    /// An empty allocator.
    pub const fn new() -> Self {
        StackAllocator {
            header: UnsafeCell::new(ffi::filz_stack { capacity: 0, used: 0 }),
            buffer: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The `filz_stack *` that C code may use for as long as this allocator lives.
    #[inline]
    pub fn as_ptr(&self) -> *mut c_void {
        self.raw().cast()
    }

    #[inline]
    fn raw(&self) -> *mut ffi::filz_stack {
        // From the whole of `self`, since C reaches from the header into the buffer.
        let raw = self as *const Self as *mut ffi::filz_stack;
        // SAFETY: the header is alive, aligned for a usize, and its capacity is written only here, atomically.
        let capacity = unsafe { &*ptr::addr_of!((*raw).capacity).cast::<AtomicUsize>() };
        if capacity.load(Ordering::Acquire) != N {
            // One thread's store, at most, and every thread sees it before it enters C.
            let _ = capacity.compare_exchange(0, N, Ordering::AcqRel, Ordering::Acquire);
        }
        raw
    }

    /// How full it is.
    pub fn stats(&self) -> Stats {
        let mut info = ffi::filz_stack_info { capacity: 0, used: 0 };
        // SAFETY: filz_stack_stats: `raw` is an allocator, `info` is ours to write.
        unsafe { ffi::filz_stack_stats(self.raw(), &mut info) };
        Stats { capacity: info.capacity, used: info.used }
    }

    /// Whether `address` lies in the buffer, allocated or not.
    pub fn owns<T: ?Sized>(&self, address: *const T) -> bool {
        // SAFETY: filz_stack_owns: any address may be asked about.
        unsafe { ffi::filz_stack_owns(self.raw(), address.cast()) }
    }

    /// How much is allocated: a place for [`rewind`](Self::rewind) to come back to.
    pub fn mark(&self) -> Mark {
        // SAFETY: filz_stack_mark: `raw` is an allocator.
        Mark(unsafe { ffi::filz_stack_mark(self.raw()) })
    }

    /// Sets what is allocated back to `mark`, and so ends what lies after it: every block allocated since, and what an
    /// older one has grown by. Only where an older one has shrunk since may a younger one lie before `mark`: it stays,
    /// but for what reaches beyond `mark`. A mark above what is in use changes nothing.
    ///
    /// # Safety
    ///
    /// The blocks that end, and what older ones have grown by since, are not used any more, and no other call on this
    /// allocator is under way.
    pub unsafe fn rewind(&self, mark: Mark) {
        // SAFETY: filz_stack_rewind: the caller's promise.
        unsafe { ffi::filz_stack_rewind(self.raw(), mark.0) }
    }

    /// Ends every block. What borrows the allocator can't outlive this; what was taken through the unsafe functions of
    /// [`GlobalAlloc`] must not be used any more.
    pub fn reset(&mut self) {
        // SAFETY: filz_stack_reset: `&mut self` says that no other call is under way.
        unsafe { ffi::filz_stack_reset(self.raw()) }
    }
}

impl<const N: usize> Default for StackAllocator<N> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: <filz/stack.h>: a block is as large and as aligned as asked for, overlaps no other, and lives until reset or
// rewind; nothing unwinds.
unsafe impl<const N: usize> GlobalAlloc for StackAllocator<N> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: filz_stack_alloc: `raw` is an allocator.
        unsafe { ffi::filz_stack_alloc(self.raw(), layout.size(), layout.align()).cast() }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: filz_stack_alloc_zeroed: `raw` is an allocator.
        unsafe { ffi::filz_stack_alloc_zeroed(self.raw(), layout.size(), layout.align()).cast() }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let raw = self.raw();
        // SAFETY: filz_stack_realloc: the caller promises that `block` came from here with this layout.
        unsafe { ffi::filz_stack_realloc(raw, block.cast(), layout.size(), layout.align(), new_size).cast() }
    }

    /// Does nothing: a block lives until reset or rewind.
    #[inline]
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
