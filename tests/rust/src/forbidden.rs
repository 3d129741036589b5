//! What the crate's lifetimes forbid. Each is a program with a line that must be this error, and the same with another
//! line, or none, that must compile and run. A compiler that isn't a nightly one looks at the error's number only with
//! RUSTC_BOOTSTRAP=1, as in the stage `rust-lint`.

macro_rules! forbid {
    (
        $common:literal;
        $($name:ident: $error:ident, $before:literal, $wrong:literal or $right:literal, $after:literal;)*
    ) => {$(
        #[doc = concat!("```compile_fail,", stringify!($error))]
        #[doc = concat!($common, "\n", $before, "\n", $wrong, "\n", $after, "\n```\n")]
        #[doc = concat!("```\n", $common, "\n", $before, "\n", $right, "\n", $after, "\n```")]
        mod $name {}
    )*};
}

// Values in a heap that is a file, by [`filz::Arena`].

forbid! {
    "use filz::{mmap::MAlloc, Arena, Packed}; use std::alloc::{GlobalAlloc, Layout};";

    a_value_of_a_mapped_heap_after_reset: E0502,
        "let mut heap = MAlloc::new(); let value = heap.try_alloc(1).unwrap();",
        "heap.reset().unwrap();" or "", "assert_eq!(*value, 1);";
    a_value_after_publish: E0502,
        "let mut heap = MAlloc::new(); let value = heap.try_alloc(1).unwrap();",
        "let _ = heap.publish_c_str(c\"other.filz\");" or "", "assert_eq!(*value, 1);";
    a_value_after_the_drop_of_a_mapped_heap: E0505,
        "let heap = MAlloc::new(); let value = heap.try_alloc(1).unwrap();",
        "drop(heap);" or "", "assert_eq!(*value, 1);";
    a_value_after_the_end_of_a_mapped_heap: E0597,
        "let outer = MAlloc::new(); let value; { let inner = MAlloc::new();",
        "value = inner.try_alloc(1).unwrap();" or "value = outer.try_alloc(1).unwrap();", "} assert_eq!(*value, 1);";
    a_value_after_a_move_of_its_mapped_heap: E0505,
        "let heap = MAlloc::new(); let value = heap.try_alloc(1).unwrap();",
        "let moved = heap;" or "let moved = &heap;", "assert_eq!((*value, moved.owns(value)), (1, true));";
    values_of_heaps_that_are_swapped: E0502,
        "let (mut one, mut other) = (MAlloc::new(), MAlloc::new());
         std::mem::swap(&mut one, &mut other); let value = one.try_alloc(1).unwrap();",
        "std::mem::swap(&mut one, &mut other);" or "", "assert_eq!(*value, 1);";
    a_value_in_a_thread_that_outlives_the_heap: E0597,
        "static STATIC: MAlloc = MAlloc::new(); let local = MAlloc::new();",
        "let value = local.try_alloc(1).unwrap();" or "let value = STATIC.try_alloc(1).unwrap(); let _ = &local;",
        "std::thread::spawn(move || assert_eq!(*value, 1)).join().unwrap();";
    a_value_that_borrows_what_is_gone: E0597,
        "let heap = MAlloc::new(); let outer = 1; let value; { let inner = 1;",
        "value = heap.try_alloc(&inner).unwrap();" or "let _ = inner; value = heap.try_alloc(&outer).unwrap();",
        "} assert_eq!(**value, 1);";
    a_value_in_another_thread_that_must_stay_in_this_one: E0277,
        "static HEAP: MAlloc = MAlloc::new();",
        "let value = HEAP.try_alloc(std::rc::Rc::new(1)).unwrap();" or
        "let value = HEAP.try_alloc(std::sync::Arc::new(1)).unwrap();",
        "std::thread::spawn(move || assert_eq!(**value, 1)).join().unwrap();";
    a_value_of_a_packed_heap_after_reset: E0502,
        "let mut heap = Packed(MAlloc::new());
         let value = heap.try_alloc(1).unwrap();",
        "heap.reset().unwrap();" or "", "assert_eq!(*value, 1);";
    a_static_heap_that_is_reset: E0596,
        "static HEAP: MAlloc = MAlloc::new(); let value = HEAP.try_alloc(1).unwrap();",
        "HEAP.reset().unwrap();" or "", "assert_eq!(*value, 1);";
    a_static_heap_that_is_dropped: E0507,
        "static HEAP: MAlloc = MAlloc::new(); let value = HEAP.try_alloc(1).unwrap();",
        "drop(HEAP);" or "", "assert_eq!(*value, 1);";
    an_implementation_of_another_crate: E0277,
        "struct Own;
         unsafe impl GlobalAlloc for Own {
             unsafe fn alloc(&self, _: Layout) -> *mut u8 { std::ptr::null_mut() }
             unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
         }",
        "impl Arena for Own {}" or "", "";
}

// What a [`filz::mmap::MAlloc`] is given, and what it says.

forbid! {
    "use filz::{mmap::{MAlloc, StaticHeap}, Arena};";

    a_path_that_is_gone: E0597,
        "let heap; { let path = std::ffi::CString::new(\"other.filz\").unwrap();",
        "heap = MAlloc::new().path(&path);" or
        "heap = MAlloc::new().path(c\"other.filz\"); drop(path);",
        "} assert!(!heap.owns(&1));";
    the_path_of_a_heap_after_publish: E0502,
        "let mut heap = MAlloc::new(); heap.open().unwrap(); let path = heap.stats().unwrap().path;",
        "let _ = heap.publish_c_str(c\"other.filz\");" or "", "assert_ne!(path, Some(&b\"other.filz\"[..]));";
    the_path_of_a_heap_after_its_drop: E0505,
        "let heap = MAlloc::new(); heap.open().unwrap(); let path = heap.stats().unwrap().path;",
        "drop(heap);" or "", "assert_ne!(path, Some(&b\"other.filz\"[..]));";
    a_root_after_reset: E0502,
        "let mut heap = MAlloc::new(); heap.set_root(heap.try_alloc(1_u32).unwrap()).unwrap();
         let root: &u32 = unsafe { heap.root() }.unwrap();",
        "heap.reset().unwrap();" or "", "assert_eq!(*root, 1);";
    a_root_after_the_drop_of_its_heap: E0505,
        "let heap = MAlloc::new(); heap.set_root(heap.try_alloc(1_u32).unwrap()).unwrap();
         let root: &u32 = unsafe { heap.root() }.unwrap();",
        "drop(heap);" or "", "assert_eq!(*root, 1);";
    a_root_that_may_borrow: E0310,
        "",
        "fn root<T>(heap: &MAlloc) -> Option<&T> { unsafe { heap.root() } }" or
        "fn root<T: 'static>(heap: &MAlloc) -> Option<&T> { unsafe { heap.root() } }",
        "assert!(root::<u32>(&MAlloc::new()).is_none());";
    a_handle_to_a_heap_that_is_gone: E0515,
        "struct Handle;
         unsafe impl StaticHeap for Handle { fn heap() -> &'static MAlloc {",
        "let heap = MAlloc::new();" or
        "static heap: MAlloc = MAlloc::new();",
        "&heap } } assert!(!Handle::heap().owns(&1));";
}

// Local heaps, and values in them.

forbid! {
    "use filz::{mmap::MAlloc, Arena, Local};";

    a_local_heap_after_reset: E0502,
        "let mut heap = MAlloc::new(); let local = Local::new(&heap);",
        "heap.reset().unwrap();" or "", "assert_eq!(local.try_alloc(1), Ok(&mut 1));";
    a_local_heap_after_publish: E0502,
        "let mut heap = MAlloc::new(); let local = Local::new(&heap);",
        "let _ = heap.publish_c_str(c\"other.filz\");" or "", "assert_eq!(local.try_alloc(1), Ok(&mut 1));";
    a_local_heap_after_the_drop_of_its_heap: E0505,
        "let heap = MAlloc::new(); let local = Local::new(&heap);",
        "drop(heap);" or "", "assert_eq!(local.try_alloc(1), Ok(&mut 1));";
    a_local_heap_after_the_end_of_its_heap: E0597,
        "let outer = MAlloc::new(); let local; { let inner = MAlloc::new();",
        "local = Local::new(&inner);" or "local = Local::new(&outer); drop(inner);",
        "} assert_eq!(local.try_alloc(1), Ok(&mut 1));";
    a_local_heap_after_a_move_of_its_heap: E0505,
        "let heap = MAlloc::new(); let local = Local::new(&heap);",
        "let moved = heap;" or "let moved = &heap;", "assert!(moved.owns(local.try_alloc(1).unwrap()));";
    a_local_heap_whose_heap_is_swapped: E0502,
        "let (mut one, mut other) = (MAlloc::new(), MAlloc::new());
         std::mem::swap(&mut one, &mut other); let local = Local::new(&one);",
        "std::mem::swap(&mut one, &mut other);" or "", "assert_eq!(local.try_alloc(1), Ok(&mut 1));";
    a_local_heap_in_a_thread_that_outlives_its_heap: E0597,
        "static STATIC: MAlloc = MAlloc::new(); let heap = MAlloc::new();",
        "let local = Local::new(&heap);" or
        "let local = Local::new(&STATIC); drop(heap);",
        "std::thread::spawn(move || assert_eq!(local.try_alloc(1), Ok(&mut 1))).join().unwrap();";
    a_local_heap_that_is_dropped_after_its_heap_was_reset: E0502,
        "let mut heap = MAlloc::new(); let local = Local::new(&heap);
         assert_eq!(local.try_alloc(1), Ok(&mut 1));",
        "" or "drop(local);", "heap.reset().unwrap();";
    a_value_after_the_drop_of_its_local_heap: E0505,
        "let heap = MAlloc::new(); let local = Local::new(&heap);
         let value = local.try_alloc(1).unwrap();",
        "drop(local);" or "", "assert_eq!(*value, 1);";
    a_value_after_the_end_of_its_local_heap: E0597,
        "let heap = MAlloc::new(); let outer = Local::new(&heap); let value;
         { let inner = Local::new(&heap);",
        "value = inner.try_alloc(1).unwrap();" or
        "value = outer.try_alloc(1).unwrap(); drop(inner);",
        "} assert_eq!(*value, 1);";
    a_value_of_a_local_heap_in_its_heap_after_reset: E0502,
        "let mut heap = MAlloc::new();
         let local: &Local = heap.try_alloc(Local::new(&heap)).unwrap(); let value = local.try_alloc(1).unwrap();",
        "heap.reset().unwrap();" or "", "assert_eq!(*value, 1);";
    a_local_heap_of_two_threads: E0277,
        "let heap = MAlloc::new(); let local = Local::new(&heap);
         std::thread::scope(|scope| {",
        "scope.spawn(|| assert!(local.try_alloc(1).is_ok()));" or
        "scope.spawn(move || assert!(local.try_alloc(1).is_ok()));", "});";
}

// Stack allocators, and values in them.

forbid! {
    "use filz::{stack::{StackAllocator, StackRegion}, Arena}; use std::mem::MaybeUninit;";

    a_value_of_a_stack_allocator_after_reset: E0502,
        "let mut heap = StackAllocator::<64>::new();
         let value = heap.try_alloc_str(\"1\").unwrap();",
        "heap.reset();" or "", "assert_eq!(value, \"1\");";
    a_value_after_a_move_of_its_stack_allocator: E0505,
        "let heap = StackAllocator::<64>::new();
         let value = heap.try_alloc_slice_copy(&[1]).unwrap();",
        "let moved = Box::new(heap);" or "let moved = &heap;", "assert_eq!((&*value, moved.stats().used), (&[1][..], 4));";
    a_value_after_the_end_of_its_stack_allocator: E0597,
        "let outer = StackAllocator::<64>::new(); let value;
         { let inner = StackAllocator::<64>::new();",
        "value = inner.try_alloc(1).unwrap();" or
        "value = outer.try_alloc(1).unwrap(); drop(inner);",
        "} assert_eq!(*value, 1);";
    a_value_whose_heap_is_replaced: E0506,
        "let mut heap = StackAllocator::<64>::new(); heap.reset();
         let value = heap.try_alloc(1).unwrap();",
        "heap = StackAllocator::new();" or "", "assert_eq!(*value, 1);";
    a_value_after_rewind_without_unsafe: E0133,
        "let heap = StackAllocator::<64>::new(); let mark = heap.mark();
         assert_eq!(heap.try_alloc(1), Ok(&mut 1));",
        "heap.rewind(mark);" or "unsafe { heap.rewind(mark) };", "assert_eq!(heap.mark(), mark);";
    a_value_after_the_end_of_a_region: E0597,
        "let outer = StackRegion::empty(); let value;
         { let inner = StackRegion::empty();",
        "value = inner.try_alloc(1);" or "value = outer.try_alloc(1);", "} assert!(value.is_err());";
    a_value_of_a_region_after_rewind_without_unsafe: E0133,
        "let heap = StackRegion::empty(); let mark = heap.mark();",
        "heap.rewind(mark);" or "unsafe { heap.rewind(mark) };", "assert_eq!(heap.mark(), mark);";
    a_region_in_memory_that_is_gone: E0597,
        "let region = StackRegion::empty(); let mut memory = [MaybeUninit::uninit(); 64];",
        "assert!(region.init(&mut memory));" or "assert!(region.init(Box::leak(Box::new(memory))));", "";
    a_region_in_memory_that_is_used_beside_it: E0499,
        "let memory: &'static mut _ = Box::leak(Box::new([MaybeUninit::uninit(); 64])); let region = StackRegion::empty();",
        "assert!(region.init(memory));" or
        "assert!(!region.init(&mut []));",
        "assert_eq!((memory[0].write(1), region.stats().used), (&mut 1, 0));";
}

// Collections in a heap, by `Allocator`.

forbid! {
    "#![cfg_attr(feature = \"nightly\", feature(allocator_api))]
     use allocator_api2::vec::Vec; use filz::{mmap::MAlloc, stack::StackAllocator, Local};";

    a_collection_after_reset: E0502,
        "let mut heap = MAlloc::new(); let mut numbers = Vec::new_in(&heap); numbers.push(1);",
        "heap.reset().unwrap();" or "", "assert_eq!(numbers[0], 1);";
    a_collection_after_the_drop_of_its_heap: E0505,
        "let heap = MAlloc::new(); let mut numbers = Vec::new_in(&heap); numbers.push(1);",
        "drop(heap);" or "", "assert_eq!(numbers[0], 1);";
    a_collection_that_is_dropped_after_its_heap_was_reset: E0502,
        "let mut heap = StackAllocator::<64>::new(); let mut numbers = Vec::new_in(&heap); numbers.push(1);",
        "" or "drop(numbers);", "heap.reset();";
    a_leaked_collection_after_the_end_of_its_heap: E0597,
        "let outer = MAlloc::new(); let numbers: &mut [u32]; { let inner = MAlloc::new();",
        "numbers = Vec::new_in(&inner).leak();" or
        "numbers = Vec::new_in(&outer).leak(); drop(inner);",
        "} assert!(numbers.is_empty());";
    a_collection_after_the_drop_of_its_local_heap: E0505,
        "let heap = MAlloc::new(); let local = Local::new(&heap); let mut numbers = Vec::new_in(&local); numbers.push(1);",
        "drop(local);" or "", "assert_eq!(numbers[0], 1);";
    a_collection_that_has_its_stack_allocator_in_itself: E0277,
        "let heap = StackAllocator::<64>::new();",
        "let numbers = Vec::<u8, _>::new_in(heap);" or "let numbers = Vec::<u8, _>::new_in(&heap);", "";
}

// The types of [`filz::persistent`]. What would open the heap isn't called.

forbid! {
    "use filz::persistent::{Heap, Map, Ref, Slice, Str};
     filz::persistent! { heap Words: Word = \"words.filz\"; struct Word { number: u32 } }";

    an_element_that_changes: E0594,
        "",
        "fn f(mut numbers: Slice<u32, Words>) { numbers[0] = 1; }" or
        "fn f(numbers: Slice<u32, Words>) -> u32 { numbers[0] }",
        "";
    a_text_that_changes: E0596,
        "",
        "fn f(mut text: Str<Words>) { text.make_ascii_uppercase(); }" or
        "fn f(text: Str<Words>) -> String { text.to_ascii_uppercase() }",
        "";
    an_entry_that_changes: E0594,
        "",
        "fn f(mut map: Map<u32, u32, Words>) { map[&1] = 2; }" or
        "fn f(map: Map<u32, u32, Words>) -> u32 { map[&1] }",
        "";
    a_value_that_is_taken_out: E0507,
        "",
        "fn f(word: Ref<Word, Words>) -> Word { *word }" or
        "fn f(word: Ref<Word, Words>) -> Word { Word { ..*word } }",
        "";
    a_reference_that_is_made_of_an_address: E0423,
        "",
        "fn f(word: Word) { let _: Ref<Word, Words> = Ref((&word).into(), std::marker::PhantomData); }" or
        "fn f(word: Word) { let _: Ref<Word, Words> = Ref::new(word).unwrap(); }",
        "";
    the_heap_behind_the_references: E0624,
        "",
        "fn f() { let _ = Words::storage().writer(); }" or "fn f() { let _ = Words::open(); }", "";
}
