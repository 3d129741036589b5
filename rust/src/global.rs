//! What a `#[global_allocator]` needs: blocks aligned to 8 even if their layout asks for less, or [`Packed`] ones.

use core::alloc::{GlobalAlloc, Layout};
use core::ops::{Deref, DerefMut};

/// An allocator of libfilz, whose blocks are aligned as asked for, and no further.
///
/// # Safety
///
/// The functions are C's, and keep its promises about blocks; none of them unwinds.
pub unsafe trait Exact {
    /// # Safety
    ///
    /// As for [`GlobalAlloc::alloc`].
    unsafe fn exact_alloc(&self, size: usize, align: usize) -> *mut u8;

    /// # Safety
    ///
    /// As for [`GlobalAlloc::alloc_zeroed`].
    unsafe fn exact_alloc_zeroed(&self, size: usize, align: usize) -> *mut u8;

    /// # Safety
    ///
    /// The block came from here, has `size` bytes, and its address is a multiple of `align`.
    unsafe fn exact_realloc(&self, block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8;
}

/// The usual alignment: `align`, but at least 8 for a block of 8 bytes or more, and at least the largest power of two
/// up to its size for a smaller one. Programs that read numbers from a buffer of bytes rely on it.
#[inline]
pub(crate) const fn usual_align(size: usize, align: usize) -> usize {
    // The first or second comparison decides for most blocks.
    let least = if align >= 8 {
        return align;
    } else if size >= 8 {
        return 8;
    } else if size >= 4 {
        4
    } else if size >= 2 {
        2
    } else {
        1
    };
    if align > least {
        align
    } else {
        least
    }
}

/// `realloc` of a block that has the usual alignment for its size. It stays in place if it can grow there and its
/// address has the usual alignment for the new size.
///
/// # Safety
///
/// As for [`GlobalAlloc::realloc`].
#[inline]
pub(crate) unsafe fn usual_realloc<A: Exact>(heap: &A, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
    let align = usual_align(new_size, layout.align());
    if block as usize % align == 0 {
        // SAFETY: the caller's promise.
        return unsafe { heap.exact_realloc(block, layout.size(), align, new_size) };
    }
    // Only a growing block of fewer than 8 bytes comes here.
    // SAFETY: the caller's promise: the new size isn't 0.
    let copy = unsafe { heap.exact_alloc(new_size, align) };
    if !copy.is_null() {
        // SAFETY: both blocks have at least the old size, which is the lesser one, and the new one overlaps no other.
        unsafe { copy.copy_from_nonoverlapping(block, layout.size()) };
    }
    copy
}

/// `GlobalAlloc` with the usual alignment, for a type that is [`Exact`].
macro_rules! usual_global_alloc {
    ([$($generics:tt)*] $heap:ty) => {
        // SAFETY: the contract of `Exact`, and an alignment that is at least what is asked for.
        unsafe impl<$($generics)*> GlobalAlloc for $heap {
            #[inline]
            unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                let align = $crate::global::usual_align(layout.size(), layout.align());
                // SAFETY: the caller's promise.
                unsafe { self.exact_alloc(layout.size(), align) }
            }

            #[inline]
            unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
                let align = $crate::global::usual_align(layout.size(), layout.align());
                // SAFETY: the caller's promise.
                unsafe { self.exact_alloc_zeroed(layout.size(), align) }
            }

            #[inline]
            unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
                // SAFETY: the caller's promise.
                unsafe { $crate::global::usual_realloc(self, block, layout, new_size) }
            }

            /// Does nothing: a block lives until the heap ends, is reset or rewound.
            #[inline]
            unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
        }
    };
}
pub(crate) use usual_global_alloc;

/// An allocator whose blocks are aligned as their [`Layout`] asks, and no further.
///
/// Through [`GlobalAlloc`], the allocators of this crate align a block of 8 bytes or more to at least 8 bytes, and a
/// smaller one to at least the largest power of two up to its size, even if its [`Layout`] asks for less. Programs rely
/// on that when they read numbers from a `Vec<u8>`. `Packed` leaves no such padding, so texts and buffers of bytes lie
/// side by side, without a gap. Everything else is the allocator's own, by [`Deref`]. Through `Allocator` it packs its
/// blocks in any case.
///
/// ```
/// use filz::stack::StackAllocator;
/// use filz::Packed;
///
/// #[global_allocator]
/// static ALLOCATOR: Packed<StackAllocator<65536>> = Packed(StackAllocator::new());
///
/// fn main() {
///     let before = ALLOCATOR.stats().used;
///     let texts = [String::from("twelve bytes"), String::from("and 13 bytes.")];
///     assert_eq!(ALLOCATOR.stats().used - before, 25);
/// #   drop(texts);
/// }
/// ```
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Packed<A>(pub A);

impl<A> Deref for Packed<A> {
    type Target = A;

    #[inline]
    fn deref(&self) -> &A {
        &self.0
    }
}

impl<A> DerefMut for Packed<A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut A {
        &mut self.0
    }
}

// SAFETY: the contract of `Exact`.
unsafe impl<A: Exact> GlobalAlloc for Packed<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.0.exact_alloc(layout.size(), layout.align()) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.0.exact_alloc_zeroed(layout.size(), layout.align()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `block` came from here with this layout.
        unsafe { self.0.exact_realloc(block, layout.size(), layout.align(), new_size) }
    }

    /// Does nothing: a block lives until the heap ends, is reset or rewound.
    #[inline]
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
