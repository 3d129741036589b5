//! What a crate of somebody else's does with filz: collections of several crates in its heaps, and C code on them. Also
//! a `cdylib`, since that is what inherited compiler flags break first.

use filz::mmap::MAlloc;
use std::ffi::{c_char, c_void, CStr};

extern "C" {
    fn words_copy(heap: *mut c_void, text: *const c_char) -> *mut c_char;
}

/// A copy of `text` in `heap`, made by C code that includes filz's headers.
pub fn copy_into<'a>(heap: &'a MAlloc, text: &CStr) -> Option<&'a CStr> {
    // SAFETY: words_copy: the heap is open or can be opened, and the text ends in a zero byte.
    let copy = unsafe { words_copy(heap.as_ptr(), text.as_ptr()) };
    // SAFETY: the copy ends in a zero byte, and lives until the heap is reset or dropped, which the borrow rules out.
    (!copy.is_null()).then(|| unsafe { CStr::from_ptr(copy) })
}

/// For who loads the library.
#[no_mangle]
pub extern "C" fn consumer_bytes_used() -> usize {
    let heap = MAlloc::new();
    copy_into(&heap, c"sixteen bytes, 0").and_then(|_| heap.stats().ok()).map_or(0, |stats| stats.used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use filz::stack::StackAllocator;
    use std::alloc::Layout;

    #[test]
    fn c_code_of_another_crate_includes_filzs_headers() {
        let heap = MAlloc::new();
        let copy = copy_into(&heap, c"words").unwrap();
        assert!(copy == c"words" && heap.owns(copy.as_ptr()));
        assert!(consumer_bytes_used() > 16);
    }

    #[test]
    fn a_hashbrown_map_lives_in_either_heap() {
        let (heap, buffer) = (MAlloc::new(), StackAllocator::<65536>::new());
        let mut squares = hashbrown::HashMap::new_in(&heap);
        let mut cubes = hashbrown::HashMap::new_in(&buffer);
        for n in 0..100u64 {
            squares.insert(n, n * n);
            cubes.insert(n, n * n * n);
        }
        assert_eq!((squares[&99], cubes[&99]), (9_801, 970_299));
        assert!(heap.owns(&squares[&99]) && buffer.owns(&cubes[&99]));
    }

    macro_rules! test_allocator_api2 {
        ($name:ident, $version:ident) => {
            #[test]
            fn $name() {
                use $version::{alloc::Allocator, vec::Vec};

                fn fill<A: Allocator + Copy>(heap: A) {
                    let mut numbers = Vec::new_in(heap);
                    numbers.extend(0..1_000u64);
                    let start = numbers.as_ptr();
                    numbers.extend(1_000..1_100);
                    assert_eq!(numbers.as_ptr(), start, "the newest block grows where it stands");
                    let zeroed = heap.allocate_zeroed(Layout::new::<[u8; 100]>()).unwrap();
                    // SAFETY: 100 bytes, just allocated.
                    assert_eq!(unsafe { zeroed.as_ref() }, [0; 100]);
                    assert!(heap.allocate(Layout::from_size_align(isize::MAX as usize, 1).unwrap()).is_err());
                }
                fill(&MAlloc::new());
                fill(&StackAllocator::<65536>::new());
            }
        };
    }
    test_allocator_api2!(a_vec_of_allocator_api2_lives_in_either_heap, allocator_api2);
    test_allocator_api2!(a_vec_of_allocator_api2_04_lives_in_either_heap, allocator_api2_04);
}
