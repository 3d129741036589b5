//! Atomic numbers and pointers, on targets without compare-and-swap too.

#![cfg(any(target_has_atomic = "ptr", feature = "critical-section"))]

#[cfg(target_has_atomic = "ptr")]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

#[cfg(not(target_has_atomic = "ptr"))]
pub(crate) use in_critical_sections::{AtomicPtr, AtomicUsize, Ordering};

/// The part of `core::sync::atomic` that the crate uses, by the crate critical-section.
#[cfg(not(target_has_atomic = "ptr"))]
mod in_critical_sections {
    use core::cell::UnsafeCell;
    pub(crate) use core::sync::atomic::Ordering;

    pub(crate) type AtomicUsize = Atomic<usize>;
    pub(crate) type AtomicPtr<T> = Atomic<*mut T>;

    #[repr(transparent)]
    pub(crate) struct Atomic<T>(UnsafeCell<T>);

    // SAFETY: the value is one word, which is read and written at once, and only written in critical sections, which
    // exclude each other.
    unsafe impl<T> Sync for Atomic<T> {}

    impl<T: Copy + PartialEq> Atomic<T> {
        pub(crate) const fn new(value: T) -> Self {
            Atomic(UnsafeCell::new(value))
        }

        pub(crate) fn load(&self, _: Ordering) -> T {
            // SAFETY: the pointer is the cell's.
            unsafe { self.0.get().read_volatile() }
        }

        pub(crate) fn compare_exchange(&self, expected: T, desired: T, _: Ordering, _: Ordering) -> Result<T, T> {
            critical_section::with(|_| {
                let value = self.load(Ordering::Relaxed);
                if value != expected {
                    return Err(value);
                }
                // SAFETY: the pointer is the cell's, and nobody else writes it meanwhile.
                unsafe { self.0.get().write_volatile(desired) };
                Ok(value)
            })
        }
    }

    /// What `filz/stack.h` asks of a program that is compiled with FILZ_COMPARE_AND_SWAP.
    #[no_mangle]
    unsafe extern "C" fn filz_compare_and_swap(at: *mut usize, expected: usize, desired: usize) -> bool {
        // SAFETY: `at` is a number of an allocator of libfilz's, which lives, and which it changes in no other way.
        let number = unsafe { &*at.cast::<AtomicUsize>() };
        number.compare_exchange(expected, desired, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}
