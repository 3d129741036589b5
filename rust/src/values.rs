//! Values in a heap: turns the raw blocks of all heaps into references. It allocates only by `GlobalAlloc`.

use core::alloc::{GlobalAlloc, Layout};
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::{fmt, slice, str};

use crate::stack::{StackAllocator, StackRegion};
#[cfg(filz_has_mmap)]
use crate::{local::Local, mmap::MAlloc};

mod sealed {
    /// # Safety
    ///
    /// A block of this allocator can be used for as long as a shared borrow of the allocator lives, unless a caller of
    /// an unsafe function ends it. The borrow may be in another thread than the one that allocated.
    pub unsafe trait Sealed {}
}

use sealed::Sealed;

/// Values in a heap: the functions of the crate [bumpalo](https://docs.rs/bumpalo) that allocate, for
/// [`MAlloc`](crate::mmap::MAlloc), [`Local`](crate::Local), [`StackAllocator`] and [`StackRegion`].
///
/// ```
/// use filz::mmap::MAlloc;
/// use filz::Arena;
///
/// struct Expression<'a> {
///     operator: &'a str,
///     operands: &'a [u32],
/// }
///
/// let heap = MAlloc::new();
/// let sum = heap.try_alloc(Expression {
///     operator: heap.try_alloc_str("+")?,
///     operands: heap.try_alloc_slice_copy(&[1, 2, 3])?,
/// })?;
/// sum.operands = &sum.operands[1..];
/// assert_eq!((sum.operator, sum.operands), ("+", &[2, 3][..]));
/// # Ok::<(), filz::AllocError>(())
/// ```
///
/// If there is no room, each of them returns [`AllocError`] and allocates nothing. The same happens if the heap can't
/// be opened, or is read-only. None of them panics, but what they call may, such as a closure.
///
/// # Destructors
///
/// A value in a heap is never dropped. Its memory is reused after a reset, and its destructor doesn't run. So a `Vec`
/// of the program's own heap, or a file, that is stored in such a value is leaked. This is safe. To end a value
/// earlier, let an `Option` hold it, and [`take`](Option::take) it.
///
/// # Lifetimes
///
/// A reference lives as long as the borrow of the heap. So no value can be used after a reset, a move or the drop of
/// the heap; from a `static` heap, the references are `'static`. Only the unsafe [`rewind`](StackAllocator::rewind) can
/// end a value that is still borrowed, and its caller answers for that.
///
/// ```compile_fail,E0502
/// # use filz::{mmap::MAlloc, Arena};
/// let mut heap = MAlloc::new();
/// let number = heap.try_alloc(1)?;
/// heap.reset().unwrap(); // cannot borrow `heap` as mutable because it is also borrowed as immutable
/// *number += 1;
/// # Ok::<(), filz::AllocError>(())
/// ```
///
/// # Threads
///
/// Each block is allocated once, so a reference to it is the only one, whichever threads share the heap. It may be sent
/// to another thread as any `&mut T` may.
///
/// # Persistent heaps
///
/// A value of any type may be put in a [persistent](crate::mmap#persistent-heaps) heap. But another run must not use
/// what means nothing there. [`root`](crate::mmap::MAlloc::root) is unsafe for this reason, and says what that is.
/// [`set_root`](crate::mmap::MAlloc::set_root) takes the reference as it is.
///
/// ```no_run
/// use filz::mmap::MAlloc;
/// use filz::Arena;
///
/// #[repr(C)]
/// struct Run {
///     number: u32,
///     before: Option<&'static Run>,
/// }
///
/// static HEAP: MAlloc = MAlloc::new().path(c"runs.filz").persistent(1);
///
/// HEAP.open()?;
/// // SAFETY: all runs of this program set a `Run` of this layout, which leads to others in the same heap.
/// let last = unsafe { HEAP.root::<Run>() };
/// let this = Run { number: last.map_or(1, |run| run.number + 1), before: last };
/// HEAP.set_root(HEAP.try_alloc(this).expect("room for a run"))?;
/// # Ok::<(), filz::mmap::Error>(())
/// ```
///
/// # Values of no size
///
/// A value of no size, or an empty slice, takes no memory, so it always fits. Its address isn't in the heap, so it
/// can't be the root.
///
/// # Generic code
///
/// Other crates can't implement the trait. It is a bound for code that works on any heap:
///
/// ```
/// use filz::{AllocError, Arena};
///
/// fn squares<A: Arena>(heap: &A, count: usize) -> Result<&mut [usize], AllocError> {
///     heap.try_alloc_slice_fill_with(count, |i| i * i)
/// }
///
/// let heap = filz::stack::StackAllocator::<1024>::new();
/// assert_eq!(squares(&heap, 4), Ok(&mut [0, 1, 4, 9][..]));
/// assert_eq!(squares(&heap, 1024), Err(AllocError));
/// ```
#[allow(clippy::mut_from_ref)] // of a block of its own, each
pub trait Arena: GlobalAlloc + Sealed {
    /// Puts `value` in the heap. If it doesn't fit, it is dropped. [`try_alloc_uninit`](Self::try_alloc_uninit)
    /// allocates the room before the value is given away.
    ///
    /// ```
    /// # use filz::{stack::StackAllocator, Arena};
    /// # let heap = StackAllocator::<1024>::new();
    /// let number = heap.try_alloc(1)?;
    /// *number += 1;
    /// assert_eq!(*number, 2);
    /// # Ok::<(), filz::AllocError>(())
    /// ```
    #[inline]
    fn try_alloc<T>(&self, value: T) -> Result<&mut T, AllocError> {
        Ok(self.try_alloc_uninit()?.write(value))
    }

    /// Puts the result of `make` in the heap. If that doesn't fit, `make` isn't called. It may allocate in the same
    /// heap. If it panics, the room for its result stays unused.
    ///
    /// With optimization, the compiler may make a large value in place, without a copy on the stack; that isn't
    /// promised.
    #[inline]
    fn try_alloc_with<T, F: FnOnce() -> T>(&self, make: F) -> Result<&mut T, AllocError> {
        Ok(self.try_alloc_uninit()?.write(make()))
    }

    /// Room for a `T`, which [`MaybeUninit::write`] fills. For a value that must not be lost if it doesn't fit, or that
    /// may turn out to be an error.
    ///
    /// ```
    /// # use filz::{stack::StackAllocator, Arena};
    /// # let heap = StackAllocator::<1024>::new();
    /// let text = String::from("kept");
    /// match heap.try_alloc_uninit() {
    ///     Ok(room) => assert_eq!(room.write(text), "kept"),
    ///     Err(_) => println!("no room for {text}"),
    /// }
    /// ```
    #[inline]
    fn try_alloc_uninit<T>(&self) -> Result<&mut MaybeUninit<T>, AllocError> {
        let block = self.try_alloc_layout(Layout::new::<T>())?;
        // SAFETY: the block is as large and as aligned as a `T`, overlaps no other, and lives as long as the borrow
        // (`Sealed`). This is the only reference to it, whatever other threads allocate. It needn't be initialized.
        Ok(unsafe { &mut *block.as_ptr().cast() })
    }

    /// A copy of `text`.
    ///
    /// ```
    /// # use filz::{stack::StackAllocator, Arena};
    /// # let heap = StackAllocator::<1024>::new();
    /// let text = heap.try_alloc_str("words")?;
    /// text.make_ascii_uppercase();
    /// assert_eq!(text, "WORDS");
    /// # Ok::<(), filz::AllocError>(())
    /// ```
    #[inline]
    fn try_alloc_str(&self, text: &str) -> Result<&mut str, AllocError> {
        let bytes = self.try_alloc_slice_copy(text.as_bytes())?;
        // SAFETY: these are the bytes of a `str`.
        Ok(unsafe { str::from_utf8_unchecked_mut(bytes) })
    }

    /// A copy of `values`.
    #[inline]
    fn try_alloc_slice_copy<T: Copy>(&self, values: &[T]) -> Result<&mut [T], AllocError> {
        let room = self.try_alloc_slice_uninit::<T>(values.len())?;
        // SAFETY: both are `values.len()` long, and nothing else refers to the new block.
        unsafe { room.as_mut_ptr().cast::<T>().copy_from_nonoverlapping(values.as_ptr(), values.len()) };
        // SAFETY: all of them were copied.
        Ok(unsafe { initialized(room, values.len()) })
    }

    /// A clone of each of `values`. If a `clone` panics, those before it are never dropped.
    #[inline]
    fn try_alloc_slice_clone<T: Clone>(&self, values: &[T]) -> Result<&mut [T], AllocError> {
        self.try_alloc_slice_fill_iter(values.iter().cloned())
    }

    /// `len` values: `make(0)`, `make(1)` and so on. If they don't fit, `make` isn't called. It may allocate in the
    /// same heap. If it panics, the values before are never dropped, and the room for all stays unused.
    ///
    /// ```
    /// # use filz::{stack::StackAllocator, Arena};
    /// # let heap = StackAllocator::<1024>::new();
    /// let squares = heap.try_alloc_slice_fill_with(4, |i| i * i)?;
    /// assert_eq!(squares, [0, 1, 4, 9]);
    /// # Ok::<(), filz::AllocError>(())
    /// ```
    #[inline]
    fn try_alloc_slice_fill_with<T, F>(&self, len: usize, mut make: F) -> Result<&mut [T], AllocError>
    where
        F: FnMut(usize) -> T,
    {
        let room = self.try_alloc_slice_uninit(len)?;
        for (i, place) in room.iter_mut().enumerate() {
            place.write(make(i));
        }
        // SAFETY: all of them were written.
        Ok(unsafe { initialized(room, len) })
    }

    /// `len` copies of `value`.
    #[inline]
    fn try_alloc_slice_fill_copy<T: Copy>(&self, len: usize, value: T) -> Result<&mut [T], AllocError> {
        self.try_alloc_slice_fill_with(len, |_| value)
    }

    /// `len` clones of `value`. If a `clone` panics, those before it are never dropped.
    #[inline]
    fn try_alloc_slice_fill_clone<T: Clone>(&self, len: usize, value: &T) -> Result<&mut [T], AllocError> {
        self.try_alloc_slice_fill_with(len, |_| value.clone())
    }

    /// `len` default values. If a `default` panics, those before it are never dropped.
    #[inline]
    fn try_alloc_slice_fill_default<T: Default>(&self, len: usize) -> Result<&mut [T], AllocError> {
        self.try_alloc_slice_fill_with(len, |_| T::default())
    }

    /// The `len()` values of an iterator. If they don't fit, none is taken from it, so an iterator given as
    /// [`by_ref`](Iterator::by_ref) loses nothing. The iterator may allocate in the same heap. If it panics, the values
    /// before are never dropped, and the room for all stays unused.
    ///
    /// An iterator with a wrong length does no harm. If it ends early, the slice has the values that came; if it has
    /// more values, they aren't in the slice.
    ///
    /// ```
    /// # use filz::{stack::StackAllocator, AllocError, Arena};
    /// # let heap = StackAllocator::<1024>::new();
    /// let lengths = heap.try_alloc_slice_fill_iter(["one", "three"].iter().map(|text| text.len()))?;
    /// assert_eq!(lengths, [3, 5]);
    ///
    /// let mut numbers = 0..1_000_000_u32;
    /// assert_eq!(heap.try_alloc_slice_fill_iter(numbers.by_ref().map(u64::from)), Err(AllocError));
    /// assert_eq!(numbers.next(), Some(0));
    /// # Ok::<(), AllocError>(())
    /// ```
    #[inline]
    fn try_alloc_slice_fill_iter<T, I>(&self, values: I) -> Result<&mut [T], AllocError>
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: ExactSizeIterator,
    {
        let values = values.into_iter();
        let room = self.try_alloc_slice_uninit(values.len())?;
        let mut count = 0;
        for (place, value) in room.iter_mut().zip(values) {
            place.write(value);
            count += 1;
        }
        // SAFETY: the first `count` were written.
        Ok(unsafe { initialized(room, count) })
    }

    /// Room for `len` values, each of which [`MaybeUninit::write`] fills.
    #[inline]
    fn try_alloc_slice_uninit<T>(&self, len: usize) -> Result<&mut [MaybeUninit<T>], AllocError> {
        let layout = Layout::array::<T>(len).map_err(|_| AllocError)?;
        let block = self.try_alloc_layout(layout)?;
        // SAFETY: the block is as large and as aligned as `len` values, overlaps no other, and lives as long as the
        // borrow (`Sealed`). This is the only reference to it, whatever other threads allocate. It needn't be
        // initialized.
        Ok(unsafe { slice::from_raw_parts_mut(block.as_ptr().cast(), len) })
    }

    /// An uninitialized block of this layout, for a type whose size only the program knows. It lives as long as a value
    /// would: see [lifetimes](Self#lifetimes). If the size is 0, it is an aligned address outside the heap.
    #[inline]
    fn try_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let block = match layout.size() {
            0 => ptr::null_mut::<u8>().wrapping_add(layout.align()), // takes no memory
            // SAFETY: GlobalAlloc::alloc: the size isn't zero.
            _ => unsafe { self.alloc(layout) },
        };
        NonNull::new(block).ok_or(AllocError)
    }
}

/// # Safety
///
/// There are at least `count` of them, and the first `count` are initialized.
unsafe fn initialized<T>(room: &mut [MaybeUninit<T>], count: usize) -> &mut [T] {
    // SAFETY: the caller's promise; a `MaybeUninit<T>` is laid out as a `T`, and the exclusive borrow goes on.
    unsafe { slice::from_raw_parts_mut(room.as_mut_ptr().cast(), count) }
}

// SAFETY: <filz/mmap.h>: a block lives until reset or close, on any thread. Reset, publish and drop take the heap by
// `&mut` or by value, which the borrow rules out.
#[cfg(filz_has_mmap)]
unsafe impl Sealed for MAlloc {}
#[cfg(filz_has_mmap)]
impl Arena for MAlloc {}

// SAFETY: <filz/local.h>: as for `MAlloc`, which the local heap borrows: its blocks live even longer than itself.
#[cfg(filz_has_mmap)]
unsafe impl Sealed for Local<'_> {}
#[cfg(filz_has_mmap)]
impl Arena for Local<'_> {}

// SAFETY: <filz/stack.h>: a block lives until reset or rewind, on any thread. Reset and a move, which takes the buffer
// with it, need the allocator by `&mut` or by value, which the borrow rules out; rewind is unsafe.
unsafe impl<const N: usize> Sealed for StackAllocator<N> {}
impl<const N: usize> Arena for StackAllocator<N> {}

// SAFETY: as for `StackAllocator`; and the memory outlives every use of a block, as who gave it has promised.
unsafe impl Sealed for StackRegion {}
impl Arena for StackRegion {}

/// A heap had no room for what a function of [`Arena`] asked for.
///
/// Also if the heap can't be opened ([`MAlloc::open`](crate::mmap::MAlloc::open) says why), or is read-only. With the
/// feature `std`, it is a `std::error::Error`, and `?` makes a `std::io::Error` of it. With `allocator-api2`,
/// `allocator-api2-04` or `nightly`, it becomes the `AllocError` there by `?`, and that becomes this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AllocError;

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the heap has no room, or can't be opened or written")
    }
}

#[cfg(feature = "std")]
impl std::error::Error for AllocError {}

/// An error of the kind `OutOfMemory`.
#[cfg(feature = "std")]
impl From<AllocError> for std::io::Error {
    fn from(_: AllocError) -> Self {
        std::io::ErrorKind::OutOfMemory.into()
    }
}

/// To and from the error of this name at `$theirs`, if it is there on the condition `$when`.
macro_rules! convert {
    ($when:meta, $theirs:path) => {
        #[cfg($when)]
        impl From<AllocError> for $theirs {
            fn from(_: AllocError) -> Self {
                $theirs
            }
        }

        #[cfg($when)]
        impl From<$theirs> for AllocError {
            fn from(_: $theirs) -> Self {
                AllocError
            }
        }
    };
}

// With the feature `nightly`, the error of allocator-api2 0.2 is the standard library's.
convert!(feature = "allocator-api2", allocator_api2::alloc::AllocError);
convert!(feature = "allocator-api2-04", allocator_api2_04::alloc::AllocError);
convert!(all(feature = "nightly", not(feature = "allocator-api2")), core::alloc::AllocError);

/// For Miri: the same code on a heap that isn't C's. tests/rust/tests/values.rs has the heaps themselves.
#[cfg(test)]
mod tests {
    extern crate std;

    use core::cell::{Cell, UnsafeCell};
    use std::panic::{self, AssertUnwindSafe};
    use std::string::{String, ToString};
    use std::{boxed::Box, vec, vec::Vec};

    use super::*;

    /// A bump allocator with its buffer inside itself, as `StackAllocator` is.
    #[repr(C, align(64))]
    struct Heap {
        buffer: UnsafeCell<[MaybeUninit<u8>; 4096]>,
        used: Cell<usize>,
    }

    impl Heap {
        fn new() -> Self {
            Heap { buffer: UnsafeCell::new([MaybeUninit::uninit(); 4096]), used: Cell::new(0) }
        }

        fn reset(&mut self) {
            self.used.set(0);
        }
    }

    // SAFETY: blocks are within the buffer, apart, and aligned, to 64 at most.
    unsafe impl GlobalAlloc for Heap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            assert!(layout.size() != 0 && layout.align() <= 64);
            let start = (self.used.get() + layout.align() - 1) & !(layout.align() - 1);
            if layout.size() > 4096 - start {
                return ptr::null_mut();
            }
            self.used.set(start + layout.size());
            // SAFETY: within the buffer.
            unsafe { self.buffer.get().cast::<u8>().add(start) }
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }

    // SAFETY: the buffer is in the heap, and is used again only after `reset`, which takes `&mut self`.
    unsafe impl Sealed for Heap {}
    impl Arena for Heap {}

    #[test]
    fn references_to_several_values_are_used_alternately() {
        let mut heap = Heap::new();
        for round in 0..2 {
            let byte = heap.try_alloc(1u8).unwrap();
            let number = heap.try_alloc_with(|| 2u64).unwrap();
            let text = heap.try_alloc_str("three").unwrap();
            let numbers = heap.try_alloc_slice_copy(&[4u32, 5]).unwrap();
            let squares = heap.try_alloc_slice_fill_with(3, |i| i * i).unwrap();
            *byte += 1;
            *number += 1;
            text.make_ascii_uppercase();
            numbers.swap(0, 1);
            squares.reverse();
            assert_eq!((*byte, *number, &*text, &*numbers, &*squares), (2, 3, "THREE", &[5, 4][..], &[4, 1, 0][..]));
            assert!(heap.used.get() < 100, "round {round}");
            heap.reset();
        }
    }

    #[test]
    fn values_can_refer_to_each_other() {
        struct Node<'a> {
            value: u32,
            next: Cell<Option<&'a Node<'a>>>,
        }
        let heap = Heap::new();
        let first: &Node = heap.try_alloc(Node { value: 1, next: Cell::new(None) }).unwrap();
        let second: &Node = heap.try_alloc(Node { value: 2, next: Cell::new(Some(first)) }).unwrap();
        first.next.set(Some(second));
        assert_eq!(second.next.get().and_then(|node| node.next.get()).map(|node| node.value), Some(2));
    }

    #[test]
    fn values_of_size_zero_are_aligned_and_take_no_memory() {
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        #[repr(align(32))]
        struct Wide;
        let heap = Heap::new();
        assert_eq!(heap.try_alloc(Wide), Ok(&mut Wide));
        assert_eq!(heap.try_alloc_slice_fill_default::<Wide>(3), Ok(&mut [Wide; 3][..]));
        assert_eq!(heap.try_alloc_slice_uninit::<Wide>(usize::MAX).unwrap().len(), usize::MAX);
        assert_eq!(heap.try_alloc_slice_copy::<u64>(&[]), Ok(&mut [][..]));
        assert_eq!(heap.try_alloc_str(""), Ok(&mut String::new()[..]));
        assert_eq!(heap.used.get(), 0);
    }

    #[test]
    fn a_panic_half_way_leaves_the_heap_usable() {
        let heap = Heap::new();
        let half_way = |i: usize| if i == 2 { panic::resume_unwind(Box::new("half-way")) } else { i };
        let panics = |f: &dyn Fn()| assert!(panic::catch_unwind(AssertUnwindSafe(f)).is_err());
        panics(&|| drop(heap.try_alloc_with(|| half_way(2))));
        panics(&|| drop(heap.try_alloc_slice_fill_with(4, half_way)));
        panics(&|| drop(heap.try_alloc_slice_fill_iter([0, 1, 2, 3].iter().map(|&i| half_way(i)))));
        assert_eq!(heap.try_alloc_slice_fill_with(2, half_way), Ok(&mut [0, 1][..]));
    }

    #[test]
    fn a_value_taken_out_of_an_option_is_dropped_before_the_heap() {
        let heap = Heap::new();
        let texts = heap.try_alloc_slice_fill_with(2, |i| Some(i.to_string())).unwrap();
        let taken: Vec<String> = texts.iter_mut().filter_map(Option::take).collect(); // or Miri would see a leak
        assert_eq!((taken, &*texts), (vec!["0".to_string(), "1".to_string()], &[None, None][..]));
    }

    #[test]
    fn a_closure_that_allocates_in_the_same_heap_gets_other_blocks() {
        let heap = Heap::new();
        let inner = heap.try_alloc_slice_fill_with(4, |i| heap.try_alloc_slice_fill_copy(i, i).unwrap()).unwrap();
        let outer = heap.try_alloc_with(|| heap.try_alloc(&*inner).unwrap()).unwrap();
        assert_eq!(**outer, [&[][..], &[1], &[2, 2], &[3, 3, 3]]);
    }

    #[test]
    fn an_iterator_of_a_wrong_length_does_no_harm() {
        struct Lying(u32, usize);
        impl Iterator for Lying {
            type Item = u32;
            fn next(&mut self) -> Option<u32> {
                self.0 = self.0.checked_sub(1)?;
                Some(self.0)
            }
        }
        impl ExactSizeIterator for Lying {
            fn len(&self) -> usize {
                self.1
            }
        }
        let heap = Heap::new();
        assert_eq!(heap.try_alloc_slice_fill_iter(Lying(2, 5)), Ok(&mut [1, 0][..]));
        assert_eq!(heap.try_alloc_slice_fill_iter(Lying(5, 2)), Ok(&mut [4, 3][..]));
        assert_eq!(heap.try_alloc_slice_fill_iter(Lying(0, 5)), Ok(&mut [][..]));
        assert_eq!(heap.try_alloc_slice_fill_iter(Lying(5, 0)), Ok(&mut [][..]));
        assert_eq!(heap.try_alloc_slice_fill_iter(Lying(5, usize::MAX)), Err(AllocError));
    }
}
