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
//! An allocation bumps one number by one compare-and-swap. A block costs its size and the padding that its alignment
//! needs ([`Packed`](crate::Packed): no more than its `Layout` asks for). Its memory is reused after a reset or a
//! rewind, not when it is freed. Only the newest block grows and shrinks in place. The functions that take `&self` may
//! be called from any thread and from a signal handler, except [`rewind`](StackAllocator::rewind).
//!
//! The module needs no operating system, no library and no `std`. [`StackAllocator`] contains its buffer;
//! [`StackRegion`] gets its memory when the program starts.
//!
//! # Without compare-and-swap
//!
//! Some processors have no compare-and-swap: Cortex-M0 and M0+ (`thumbv6m-none-eabi`), RISC-V without the A extension
//! (`riscv32imc-unknown-none-elf`). There the crate needs its feature `critical-section`, and the program needs an
//! implementation of the crate [critical-section](https://docs.rs/critical-section), which many crates for such
//! processors have (`cortex-m` and `riscv` for a single core). Soundness depends on it: masking interrupts is correct
//! only on one core, in privileged code. On a second core, or in unprivileged code, where the processor ignores the
//! mask, two blocks would overlap.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::{fmt, ptr};

use crate::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::ffi;
use crate::global::{usual_global_alloc, Exact};

/// A bump allocator with a buffer of `N` bytes inside itself.
///
/// A static of it is in .bss, so the program file doesn't grow by `N`. It may be moved as long as nothing is allocated
/// in it.
#[repr(C)]
pub struct StackAllocator<const N: usize> {
    // All zero until first used, and so is a static; `raw` writes its capacity.
    header: UnsafeCell<ffi::filz_stack>,
    buffer: UnsafeCell<MaybeUninit<[u8; N]>>,
}

/// How full a stack allocator is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes in the buffer.
    pub capacity: usize,
    /// Bytes allocated so far, padding included.
    pub used: usize,
}

/// A state of a stack allocator to rewind to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(usize);

// SAFETY: <filz/stack.h>, THREADS: what takes `&self` may be called from any thread; for `rewind`, the caller answers.
unsafe impl<const N: usize> Sync for StackAllocator<N> {}

impl<const N: usize> StackAllocator<N> {
    /// An empty allocator.
    #[must_use]
    pub const fn new() -> Self {
        StackAllocator {
            header: UnsafeCell::new(ffi::filz_stack { capacity: 0, used: 0 }),
            buffer: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    #[inline]
    fn raw(&self) -> *mut ffi::filz_stack {
        // From all of `self`, because C goes from the header into the buffer.
        let raw = self as *const Self as *mut ffi::filz_stack;
        // SAFETY: the header is alive, aligned for a usize, and its capacity is written only here, atomically.
        let capacity = unsafe { &*ptr::addr_of!((*raw).capacity).cast::<AtomicUsize>() };
        if capacity.load(Ordering::Acquire) != N {
            // At most one thread stores it, and every thread sees it before it enters C.
            let _ = capacity.compare_exchange(0, N, Ordering::AcqRel, Ordering::Acquire);
        }
        raw
    }

    /// Ends every block. What borrows the allocator can't outlive this. Blocks taken through the unsafe functions of
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

/// A bump allocator in memory that the program names when it starts: a linker section, external RAM, or what a boot
/// loader has left.
///
/// Without memory it is an allocator of 0 bytes, which refuses every request.
///
/// ```
/// use core::alloc::{GlobalAlloc, Layout};
/// use core::mem::MaybeUninit;
/// use filz::stack::StackRegion;
///
/// static ALLOCATOR: StackRegion = StackRegion::empty(); // or a #[global_allocator]
///
/// // Stands for memory that isn't the program's own.
/// let memory: &'static mut [MaybeUninit<u8>] = Box::leak(vec![MaybeUninit::uninit(); 4096].into_boxed_slice());
/// assert!(ALLOCATOR.init(memory));
///
/// // SAFETY: the size isn't 0.
/// let block = unsafe { ALLOCATOR.alloc(Layout::new::<u64>()) };
/// assert!(ALLOCATOR.owns(block) && ALLOCATOR.stats().used >= 8);
/// ```
pub struct StackRegion {
    /// Null until `init`.
    stack: AtomicPtr<ffi::filz_stack>,
    /// Used until then. Its buffer of 0 bytes is never written.
    empty: UnsafeCell<ffi::filz_stack>,
}

// SAFETY: as for `StackAllocator`.
unsafe impl Sync for StackRegion {}

// SAFETY: the memory that `stack` leads to is no thread's own.
unsafe impl Send for StackRegion {}

impl StackRegion {
    /// An allocator without memory.
    #[must_use]
    pub const fn empty() -> Self {
        StackRegion {
            stack: AtomicPtr::new(ptr::null_mut()),
            empty: UnsafeCell::new(ffi::filz_stack { capacity: 0, used: 0 }),
        }
    }

    /// Gives it `memory`, of which it takes two words for itself, and at most a word for their alignment. Returns
    /// false, and changes nothing, if that doesn't fit, or it already has memory.
    #[must_use]
    pub fn init(&self, memory: &'static mut [MaybeUninit<u8>]) -> bool {
        // SAFETY: an exclusive reference that lives forever is what `init_raw` asks for.
        unsafe { self.init_raw(memory.as_mut_ptr().cast(), memory.len()) }
    }

    /// The same with the `bytes` bytes at `memory`, for example between two symbols of a linker script.
    ///
    /// # Safety
    ///
    /// The bytes can be read and written, and nothing else uses them, as long as this allocator or a block of it is
    /// used.
    #[must_use]
    pub unsafe fn init_raw(&self, memory: *mut u8, bytes: usize) -> bool {
        let none = ptr::null_mut();
        if self.stack.load(Ordering::Acquire) != none {
            return false;
        }
        // SAFETY: filz_stack_init: the caller's promise.
        let stack = unsafe { ffi::filz_stack_init(memory.cast(), bytes) };
        stack != none && self.stack.compare_exchange(none, stack, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    #[inline]
    fn raw(&self) -> *mut ffi::filz_stack {
        let stack = self.stack.load(Ordering::Acquire);
        if stack.is_null() {
            self.empty.get()
        } else {
            stack
        }
    }
}

impl Default for StackRegion {
    fn default() -> Self {
        Self::empty()
    }
}

/// The functions of an allocator, wherever its memory is; `raw` says where.
macro_rules! stack_methods {
    ($name:ident, [$($generics:tt)*] $stack:ty) => {
        impl<$($generics)*> $stack {
            /// The `filz_stack *` that C code may use for as long as this allocator lives.
            #[inline]
            #[must_use]
            pub fn as_ptr(&self) -> *mut c_void {
                self.raw().cast()
            }

            /// How full it is.
            #[must_use]
            pub fn stats(&self) -> Stats {
                let mut info = ffi::filz_stack_info { capacity: 0, used: 0 };
                // SAFETY: filz_stack_stats: `raw` is an allocator, `info` is ours to write.
                unsafe { ffi::filz_stack_stats(self.raw(), &mut info) };
                Stats { capacity: info.capacity, used: info.used }
            }

            /// Whether `address` lies in the buffer, allocated or not.
            #[must_use]
            pub fn owns<T: ?Sized>(&self, address: *const T) -> bool {
                // SAFETY: filz_stack_owns: any address may be asked about.
                unsafe { ffi::filz_stack_owns(self.raw(), address.cast()) }
            }

            /// How much is allocated, for [`rewind`](Self::rewind) to return to.
            #[must_use]
            pub fn mark(&self) -> Mark {
                // SAFETY: filz_stack_mark: `raw` is an allocator.
                Mark(unsafe { ffi::filz_stack_mark(self.raw()) })
            }

            /// Ends everything after `mark`: every block allocated since, and what an older block has grown by. If an
            /// older block has shrunk since, a younger one may lie before `mark`. It stays, except for the part after
            /// `mark`. A mark above what is in use changes nothing.
            ///
            /// # Safety
            ///
            /// The blocks that end, and what older ones have grown by since, are not used any more, and no other call
            /// on this allocator is under way.
            pub unsafe fn rewind(&self, mark: Mark) {
                // SAFETY: filz_stack_rewind: the caller's promise.
                unsafe { ffi::filz_stack_rewind(self.raw(), mark.0) }
            }
        }

        /// Where it is, and how full. Lock-free, like all of it.
        impl<$($generics)*> fmt::Debug for $stack {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Stats { capacity, used } = self.stats();
                let mut fields = f.debug_struct(stringify!($name));
                fields.field("address", &self.as_ptr()).field("capacity", &capacity).field("used", &used).finish()
            }
        }

        // SAFETY: <filz/stack.h>: a block is as large and as aligned as asked for, overlaps no other, and lives until
        // reset or rewind; nothing unwinds.
        unsafe impl<$($generics)*> Exact for $stack {
            #[inline]
            unsafe fn exact_alloc(&self, size: usize, align: usize) -> *mut u8 {
                // SAFETY: filz_stack_alloc: `raw` is an allocator.
                unsafe { ffi::filz_stack_alloc(self.raw(), size, align).cast() }
            }

            #[inline]
            unsafe fn exact_alloc_zeroed(&self, size: usize, align: usize) -> *mut u8 {
                // SAFETY: filz_stack_alloc_zeroed: `raw` is an allocator.
                unsafe { ffi::filz_stack_alloc_zeroed(self.raw(), size, align).cast() }
            }

            #[inline]
            unsafe fn exact_realloc(&self, block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
                // SAFETY: filz_stack_realloc: the caller promises that `block` came from here, and is so large and so
                // aligned.
                unsafe { ffi::filz_stack_realloc(self.raw(), block.cast(), size, align, new_size).cast() }
            }
        }

        usual_global_alloc!([$($generics)*] $stack);
    };
}

stack_methods!(StackAllocator, [const N: usize] StackAllocator<N>);
stack_methods!(StackRegion, [] StackRegion);
