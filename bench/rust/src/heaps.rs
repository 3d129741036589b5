//! Heaps that are borrowed, not global: all are asked through `Allocator::allocate`.

use std::alloc::Layout;
use std::cell::UnsafeCell;

use allocator_api2::alloc::Allocator;
use bump_scope::Bump as BumpScope;
use bumpalo::Bump;
use filz::{mmap::MAlloc, stack::StackAllocator, Local};

use crate::workloads::escape;

pub trait Heap {
    fn allocate(&self, layout: Layout) -> *mut u8;

    /// Ends every block and keeps the memory.
    fn reset(&mut self);
}

macro_rules! impl_heap {
    ($([$($generics:tt)*] $heap:ty, $self:ident => $reset:expr;)*) => {$(
        impl<$($generics)*> Heap for $heap {
            #[inline]
            fn allocate(&self, layout: Layout) -> *mut u8 {
                Allocator::allocate(&self, layout).expect("memory").as_ptr().cast()
            }

            fn reset(&mut $self) {
                $reset
            }
        }
    )*};
}

impl_heap! {
    [] MAlloc, self => MAlloc::reset(self).expect("a heap that was never synced");
    [const N: usize] StackAllocator<N>, self => StackAllocator::reset(self);
    [] Bump, self => Bump::reset(self);
    [] BumpScope, self => BumpScope::reset(self);
}

impl<H: Heap> Heap for &mut H {
    #[inline]
    fn allocate(&self, layout: Layout) -> *mut u8 {
        H::allocate(self, layout)
    }

    fn reset(&mut self) {
        H::reset(self);
    }
}

/// A local heap, and the heap that it is of.
pub struct LocalHeap {
    local: Local<'static>,
    heap: *mut MAlloc,
}

/// Never opened: nothing is allocated between the end of one local heap and the beginning of the next.
static NONE: MAlloc = MAlloc::new();

impl Default for LocalHeap {
    fn default() -> Self {
        let heap: *mut MAlloc = Box::leak(Box::default());
        // SAFETY: it is leaked, and no reference is exclusive before `reset`.
        LocalHeap { local: Local::new(unsafe { &*heap }), heap }
    }
}

impl Heap for LocalHeap {
    #[inline]
    fn allocate(&self, layout: Layout) -> *mut u8 {
        Allocator::allocate(&&self.local, layout).expect("memory").as_ptr().cast()
    }

    fn reset(&mut self) {
        self.local = Local::new(&NONE);
        // SAFETY: it is leaked, and no local heap borrows it now.
        MAlloc::reset(unsafe { &mut *self.heap }).expect("a heap that was never synced");
        // SAFETY: it is leaked, and the exclusive reference is gone.
        self.local = Local::new(unsafe { &*self.heap });
    }
}

/// A heap whose allocation isn't inlined: a call, as every one of filz's is.
pub struct Called<H>(pub H);

impl<H: Heap> Heap for Called<H> {
    #[inline(never)]
    fn allocate(&self, layout: Layout) -> *mut u8 {
        self.0.allocate(layout)
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

/// No heap: always the same block. What is left is the cost of the workload's own loop.
pub struct Nothing(UnsafeCell<[u64; 16]>);

impl Default for Nothing {
    fn default() -> Self {
        Nothing(UnsafeCell::new([0; 16]))
    }
}

impl Heap for Nothing {
    #[inline]
    fn allocate(&self, layout: Layout) -> *mut u8 {
        escape(layout.size());
        self.0.get().cast()
    }

    fn reset(&mut self) {}
}
