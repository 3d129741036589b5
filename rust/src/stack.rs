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
//! needs ([`Packed`](crate::Packed): no more than its `Layout` asks for), and is given back when the allocator is reset or rewound, not when it is freed: only the newest block grows
//! and shrinks where it stands. The functions that take `&self` may be called from any thread and from a signal handler,
//! except [`rewind`](StackAllocator::rewind).
//!
//! The module needs no operating system, no library and no `std`. [`StackAllocator`] has its buffer inside itself,
//! [`StackRegion`] is given memory when the program starts.
//!
//! # Without compare-and-swap
//!
//! Some processors have no compare-and-swap: Cortex-M0 and M0+ (`thumbv6m-none-eabi`), RISC-V without the A extension
//! (`riscv32imc-unknown-none-elf`). There the crate needs its feature `critical-section`, and the program an
//! implementation of the crate [critical-section](https://docs.rs/critical-section), as many crates for such processors
//! have one (`cortex-m` and `riscv` for a single core). It decides whether this is sound: one that masks interrupts is
//! right on one core and in privileged code, and nowhere else. On a second core, or in unprivileged code, where the
//! processor ignores the mask, two blocks would overlap.

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
/// A static of it is in .bss: the program file doesn't grow by `N`. It may be moved as long as nothing is allocated in
/// it.
#[repr(C)]
pub struct StackAllocator<const N: usize> {
    // All zero until first used, so that a static is too: `raw` writes its capacity.
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

/// A place in a stack allocator to come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(usize);

// SAFETY: <filz/stack.h>, THREADS: what takes `&self` may be called from any thread; `rewind` is the caller's to answer.
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

/// A bump allocator in memory that the program names when it starts: a section of the linker's, external RAM, what a boot
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
    /// What is used until then: its buffer of 0 bytes is never written.
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

    /// Gives it `memory`, of which it takes two words for itself, and at most a word for their alignment. Says false,
    /// and changes nothing, if that doesn't fit, or it has been given memory before.
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

/// What can be done with an allocator, wherever its memory is: `raw` says.
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

            /// How much is allocated: a place for [`rewind`](Self::rewind) to come back to.
            #[must_use]
            pub fn mark(&self) -> Mark {
                // SAFETY: filz_stack_mark: `raw` is an allocator.
                Mark(unsafe { ffi::filz_stack_mark(self.raw()) })
            }

            /// Sets what is allocated back to `mark`, and so ends what lies after it: every block allocated since, and
            /// what an older one has grown by. Only where an older one has shrunk since may a younger one lie before
            /// `mark`: it stays, but for what reaches beyond `mark`. A mark above what is in use changes nothing.
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

        /// Where it is, and how full. Lock-free, as all of it.
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
