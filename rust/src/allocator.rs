//! `Allocator` for `&MAlloc`, `&StackAllocator` and `In`. A block is aligned as its `Layout` asks, and no further.

#![cfg(any(feature = "allocator-api2", feature = "allocator-api2-04", feature = "nightly"))]

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use crate::global::Exact;

type Block = Option<NonNull<[u8]>>;

fn block(start: *mut u8, size: usize) -> Block {
    NonNull::new(ptr::slice_from_raw_parts_mut(start, size))
}

fn allocate<A: Exact>(heap: &A, layout: Layout, zeroed: bool) -> Block {
    let start = match (layout.size(), zeroed) {
        (0, _) => layout.align() as *mut u8, // takes no memory
        // SAFETY: Exact::exact_alloc: the size isn't zero.
        (_, false) => unsafe { heap.exact_alloc(layout.size(), layout.align()) },
        // SAFETY: Exact::exact_alloc_zeroed: the size isn't zero.
        (_, true) => unsafe { heap.exact_alloc_zeroed(layout.size(), layout.align()) },
    };
    block(start, layout.size())
}

/// # Safety
///
/// As for `Allocator::grow_zeroed` or `Allocator::shrink`, whichever of the two sizes is larger.
unsafe fn resize<A: Exact>(heap: &A, old_block: NonNull<u8>, old: Layout, new: Layout, zeroed: bool) -> Block {
    // Exact::exact_realloc takes no empty blocks, and keeps a block in place only if its address suits.
    if old.size() == 0 || new.size() == 0 || old_block.as_ptr() as usize % new.align() != 0 {
        let fresh = allocate(heap, new, zeroed)?;
        let common = old.size().min(new.size());
        // SAFETY: both blocks are at least `common` bytes long, and the fresh one overlaps no other.
        unsafe { old_block.as_ptr().copy_to_nonoverlapping(fresh.as_ptr().cast(), common) };
        return Some(fresh);
    }
    // SAFETY: the caller's promise; neither size is zero, and the address is a multiple of the new alignment.
    let start = unsafe { heap.exact_realloc(old_block.as_ptr(), old.size(), new.align(), new.size()) };
    if zeroed && !start.is_null() {
        // SAFETY: only growing asks for zeroes; the block has `new.size()` bytes now.
        unsafe { start.add(old.size()).write_bytes(0, new.size() - old.size()) };
    }
    block(start, new.size())
}

macro_rules! impl_allocator {
    ([$($generics:tt)*] $heap:ty, $self:ident => $reference:expr) => {
        // SAFETY: a block lives until its heap is reset, rewound or dropped, which the borrow rules out or the caller
        // has answered for; a copy of the reference is the same heap.
        unsafe impl<$($generics)*> Allocator for $heap {
            #[inline]
            fn allocate(&$self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                allocate($reference, layout, false).ok_or(AllocError)
            }

            #[inline]
            fn allocate_zeroed(&$self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                allocate($reference, layout, true).ok_or(AllocError)
            }

            #[inline]
            unsafe fn deallocate(&self, _: NonNull<u8>, _: Layout) {}

            #[inline]
            unsafe fn grow(&$self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's promise.
                unsafe { resize($reference, block, old, new, false) }.ok_or(AllocError)
            }

            #[inline]
            unsafe fn grow_zeroed(&$self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's promise.
                unsafe { resize($reference, block, old, new, true) }.ok_or(AllocError)
            }

            #[inline]
            unsafe fn shrink(&$self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's promise.
                unsafe { resize($reference, block, old, new, false) }.ok_or(AllocError)
            }
        }
    };
}

/// Once for each trait of this name: in the module `$module`, under the condition `$when`.
macro_rules! impl_trait {
    ($module:ident, $when:meta, $path:path) => {
        #[cfg($when)]
        mod $module {
            use core::alloc::Layout;
            use core::ptr::NonNull;

            use super::{allocate, resize};
            #[cfg(filz_has_mmap)]
            use crate::local::Local;
            #[cfg(filz_has_mmap)]
            use crate::mmap::{In, MAlloc, StaticHeap};
            use crate::stack::{StackAllocator, StackRegion};
            use $path::{AllocError, Allocator};

            impl_allocator!([const N: usize] &StackAllocator<N>, self => *self);
            impl_allocator!([] &StackRegion, self => *self);
            #[cfg(filz_has_mmap)]
            impl_allocator!([] &MAlloc, self => *self);
            #[cfg(filz_has_mmap)]
            impl_allocator!([] &Local<'_>, self => *self);
            #[cfg(filz_has_mmap)]
            impl_allocator!([H: StaticHeap] In<H>, self => H::heap());
        }
    };
}

// With the feature `nightly`, the trait of allocator-api2 0.2 is the standard library's.
impl_trait!(v02, feature = "allocator-api2", allocator_api2::alloc);
impl_trait!(v04, feature = "allocator-api2-04", allocator_api2_04::alloc);
impl_trait!(std, all(feature = "nightly", not(feature = "allocator-api2")), core::alloc);
