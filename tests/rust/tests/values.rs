//! Values in all heaps. src/forbidden.rs tests what the lifetimes forbid, rust/src/values.rs its code on a heap that Miri
//! knows.

#![cfg_attr(feature = "nightly", feature(allocator_api))]

use std::alloc::Layout;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::mem::{self, MaybeUninit};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Barrier;
use std::thread;

use allocator_api2::vec::Vec as VecIn;
use filz::mmap::MAlloc;
use filz::stack::{StackAllocator, StackRegion};
use filz::{AllocError, Arena, Local};

const CAPACITY: usize = 64 << 10;

fn region() -> StackRegion {
    let region = StackRegion::empty();
    assert!(region.init(Box::leak(vec![MaybeUninit::uninit(); CAPACITY].into_boxed_slice())));
    region
}

/// What a heap says of itself, by the same names for all.
trait Heap: Arena {
    fn used(&self) -> usize;
    fn has<T: ?Sized>(&self, value: &T) -> bool;
}

impl Heap for MAlloc {
    fn used(&self) -> usize {
        self.stats().map_or(0, |stats| stats.used)
    }

    fn has<T: ?Sized>(&self, value: &T) -> bool {
        self.owns(value)
    }
}

impl<const N: usize> Heap for StackAllocator<N> {
    fn used(&self) -> usize {
        self.stats().used
    }

    fn has<T: ?Sized>(&self, value: &T) -> bool {
        self.owns(value)
    }
}

impl Heap for StackRegion {
    fn used(&self) -> usize {
        self.stats().used
    }

    fn has<T: ?Sized>(&self, value: &T) -> bool {
        self.owns(value)
    }
}

impl Heap for Local<'_> {
    fn used(&self) -> usize {
        self.heap().used()
    }

    fn has<T: ?Sized>(&self, value: &T) -> bool {
        self.heap().has(value)
    }
}

/// Each is a test on all three heaps of 64 KiB, and on a local heap of one that has pieces of 64 KiB.
macro_rules! on_each_heap {
    ($(fn $name:ident($heap:ident) $body:block)*) => {$(
        #[test]
        fn $name() {
            fn test<H: Heap>($heap: &H) $body

            test(&MAlloc::new().capacity(CAPACITY));
            test(&Local::new(&MAlloc::new().capacity(4 * CAPACITY)));
            test(&StackAllocator::<CAPACITY>::new());
            test(&region());
        }
    )*};
}

/// Counts how often it is cloned, up to a panic, and dropped.
struct Counted<'a> {
    clones: &'a Cell<usize>,
    drops: &'a Cell<usize>,
    panics_at: usize,
}

impl Clone for Counted<'_> {
    fn clone(&self) -> Self {
        self.clones.set(self.clones.get() + 1);
        if self.clones.get() == self.panics_at {
            panic::resume_unwind(Box::new("a clone"));
        }
        Counted { ..*self }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
    }
}

on_each_heap! {
    fn values_are_in_the_heap_aligned_and_do_not_overlap(heap) {
        #[derive(Debug, PartialEq)]
        #[repr(align(256))]
        struct Wide(u8);

        let byte = heap.try_alloc(1u8).unwrap();
        let wide = heap.try_alloc_with(|| Wide(2)).unwrap();
        let text = heap.try_alloc_str("thr€e").unwrap();
        let copies = heap.try_alloc_slice_copy(&[4u16, 5]).unwrap();
        let clones = heap.try_alloc_slice_clone(&[Rc::new(6), Rc::new(7)]).unwrap();
        let made = heap.try_alloc_slice_fill_with(3, |i| i as u64).unwrap();
        let same = heap.try_alloc_slice_fill_copy(2, 8i8).unwrap();
        let cloned = heap.try_alloc_slice_fill_clone(2, &Some(9u32)).unwrap();
        let default = heap.try_alloc_slice_fill_default::<u32>(2).unwrap();
        let iterated = heap.try_alloc_slice_fill_iter(vec![10u128, 11]).unwrap();
        assert_eq!(wide as *const Wide as usize % 256, 0);
        assert!(heap.has(byte) && heap.has(wide) && heap.has(text) && heap.has(copies) && heap.has(clones));
        assert!(heap.has(made) && heap.has(same) && heap.has(cloned) && heap.has(default) && heap.has(iterated));

        // Each is changed, and none of the others with it.
        *byte += 1;
        wide.0 += 1;
        text.make_ascii_uppercase();
        copies.reverse();
        clones.reverse();
        made.reverse();
        same[0] = 0;
        cloned[1] = None;
        default[0] = 1;
        iterated.reverse();
        assert_eq!((*byte, &*wide, &*text, &*copies), (2, &Wide(3), "THR€E", &[5, 4][..]));
        assert_eq!((&*clones, &*made, &*same), (&[Rc::new(7), Rc::new(6)][..], &[2, 1, 0][..], &[0, 8][..]));
        assert_eq!((&*cloned, &*default, &*iterated), (&[Some(9), None][..], &[1, 0][..], &[11, 10][..]));
        for counted in clones {
            assert_eq!(Rc::strong_count(counted), 1, "what it was cloned from is gone");
        }
    }

    fn values_fill_the_heap_to_its_end_and_keep_their_contents(heap) {
        struct Node<'a> {
            number: usize,
            next: Option<&'a Node<'a>>,
        }

        let (mut last, mut count) = (None, 0);
        while let Ok(node) = heap.try_alloc(Node { number: count, next: last }) {
            (last, count) = (Some(&*node), count + 1);
        }
        assert!(count > CAPACITY / 2 / mem::size_of::<Node>());
        while let Some(node) = last {
            count -= 1;
            assert_eq!(node.number, count);
            last = node.next;
        }
        assert_eq!(count, 0);
    }

    fn values_of_size_zero_take_no_memory_and_fit_a_full_heap(heap) {
        while heap.try_alloc(0u8).is_ok() {}
        let used = heap.used();
        assert_eq!(heap.try_alloc(()), Ok(&mut ()));
        assert_eq!(heap.try_alloc_str(""), Ok(&mut *String::new()));
        assert_eq!(heap.try_alloc_slice_copy::<u64>(&[]), Ok(&mut [][..]));
        assert_eq!(heap.try_alloc_slice_fill_with(1000, drop).map(|units| units.len()), Ok(1000));
        assert_eq!(heap.try_alloc_slice_uninit::<()>(usize::MAX).map(|units| units.len()), Ok(usize::MAX));
        let block = heap.try_alloc_layout(Layout::from_size_align(0, 1 << 20).unwrap()).unwrap();
        assert_eq!(block.as_ptr() as usize % (1 << 20), 0);
        assert_eq!(heap.used(), used);
    }

    fn a_size_that_overflows_is_an_error_and_takes_no_memory(heap) {
        heap.try_alloc(1u8).unwrap();
        let used = heap.used();
        for len in [usize::MAX, usize::MAX / 8 + 1, isize::MAX as usize / 8 + 1, isize::MAX as usize / 8] {
            assert_eq!(heap.try_alloc_slice_fill_default::<u64>(len), Err(AllocError));
            assert_eq!(heap.try_alloc_slice_fill_with(len, |_| -> u64 { unreachable!() }), Err(AllocError));
        }
        assert_eq!(heap.try_alloc_slice_fill_copy(usize::MAX, 0u8), Err(AllocError));
        assert_eq!(heap.used(), used);
    }

    fn only_a_value_that_does_not_fit_is_dropped(heap) {
        let (clones, drops) = (Cell::new(0), Cell::new(0));
        let counted = Counted { clones: &clones, drops: &drops, panics_at: 0 };
        let mut made = 0;
        while heap.try_alloc(counted.clone()).is_ok() {
            made += 1;
            assert_eq!(drops.get(), 0);
        }
        assert!(made > CAPACITY / 100);
        assert_eq!((clones.get(), drops.get()), (made + 1, 1));
    }

    fn without_room_nothing_is_called_or_lost(heap) {
        while heap.try_alloc(0u8).is_ok() {}
        let text = String::from("kept");
        if let Ok(room) = heap.try_alloc_uninit() {
            room.write(text);
            unreachable!();
        }
        assert_eq!(text, "kept");
        assert_eq!(heap.try_alloc_with(|| -> u8 { unreachable!() }), Err(AllocError));
        assert_eq!(heap.try_alloc_slice_fill_with(3, |_| -> u8 { unreachable!() }), Err(AllocError));
        let mut texts = vec![text].into_iter();
        assert!(heap.try_alloc_slice_fill_iter(texts.by_ref()).is_err());
        assert_eq!(texts.next(), Some("kept".to_string()));
    }

    fn a_panic_half_way_drops_nothing_twice_and_leaves_the_heap_usable(heap) {
        let (clones, drops) = (Cell::new(0), Cell::new(0));
        let panics = |f: &dyn Fn(Counted)| {
            clones.set(0);
            let counted = Counted { clones: &clones, drops: &drops, panics_at: 3 };
            panic::catch_unwind(AssertUnwindSafe(|| f(counted))).expect_err("the third clone panics");
            drops.replace(0)
        };
        // Only the original: two clones are in the heap.
        assert_eq!(panics(&|it| drop(heap.try_alloc_slice_fill_clone(4, &it))), 1);
        assert_eq!(panics(&|it| drop(heap.try_alloc_slice_fill_with(4, |_| it.clone()))), 1);
        assert_eq!(panics(&|it| drop(heap.try_alloc_slice_fill_iter([0; 4].iter().map(|_| it.clone())))), 1);
        assert_eq!(panics(&|it| drop(heap.try_alloc_with(|| [it.clone(), it.clone(), it.clone()]))), 3);
        let four = [0; 4].map(|_| Counted { clones: &clones, drops: &drops, panics_at: 3 });
        clones.set(0);
        panic::catch_unwind(AssertUnwindSafe(|| drop(heap.try_alloc_slice_clone(&four)))).expect_err("the same");
        assert_eq!(drops.get(), 0);
        assert_eq!(heap.try_alloc(1), Ok(&mut 1));
    }

    fn a_closure_that_makes_values_may_allocate_in_the_same_heap(heap) {
        let made = heap.try_alloc_slice_fill_with(20, |i| heap.try_alloc_slice_fill_copy(i, i).unwrap()).unwrap();
        let iterated = heap.try_alloc_slice_fill_iter((0..20).map(|i| heap.try_alloc(i).unwrap())).unwrap();
        let one = heap.try_alloc_with(|| heap.try_alloc(made.len()).unwrap()).unwrap();
        assert_eq!(**one, 20);
        for (i, (made, iterated)) in made.iter().zip(iterated.iter()).enumerate() {
            assert_eq!((made.len(), **iterated), (i, i));
            assert!(made.iter().all(|&value| value == i));
        }
    }

    fn an_iterator_of_a_wrong_length_gives_no_more_than_it_has_or_announced(heap) {
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

        assert_eq!(heap.try_alloc_slice_fill_iter(Lying(2, 5)), Ok(&mut [1, 0][..]));
        let mut longer = Lying(5, 2);
        assert_eq!(heap.try_alloc_slice_fill_iter(longer.by_ref()), Ok(&mut [4, 3][..]));
        assert_eq!(longer.next(), Some(2), "no more was taken than fits");
        assert_eq!(heap.try_alloc_slice_fill_iter(Lying(0, 5)), Ok(&mut [][..]));
        assert_eq!(heap.try_alloc_slice_fill_iter(Lying(5, 0)), Ok(&mut [][..]));
        assert_eq!(heap.try_alloc_slice_fill_iter(Lying(5, usize::MAX)), Err(AllocError));
    }
}

/// Threads fill the heap with slices that they write again and again, each with numbers of its own. Says how many.
fn fill_by_threads<H: Heap + Sync>(heap: &H) -> usize {
    const THREADS: usize = 4;
    let start = Barrier::new(THREADS);
    let fill = |thread: usize| {
        start.wait();
        let mut slices = Vec::new();
        while let Ok(slice) = heap.try_alloc_slice_fill_with(1 + slices.len() % 30, |i| thread + i) {
            slices.push(slice);
        }
        for added in 1..=3 {
            for slice in &mut slices {
                for (i, number) in slice.iter_mut().enumerate() {
                    assert_eq!(*number, thread + i + (added - 1) * THREADS);
                    *number += THREADS;
                }
            }
        }
        slices
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || fill(thread))).collect();
        let slices = threads.into_iter().map(|thread| thread.join().unwrap());
        // What a thread has made is this one's now.
        let of_each = slices.enumerate().map(|(thread, slices)| {
            for slice in &slices {
                assert!(slice.iter().enumerate().all(|(i, &number)| number == thread + i + 3 * THREADS));
            }
            slices.len()
        });
        of_each.sum()
    })
}

#[test]
fn values_of_several_threads_on_one_heap_do_not_overlap() {
    const ROUNDS: usize = 200;
    let (mut mapped, mut stack) = (MAlloc::new().capacity(8 * CAPACITY), StackAllocator::<CAPACITY>::new());
    let mut slices = 0;
    for _ in 0..ROUNDS {
        slices += fill_by_threads(&mapped) + fill_by_threads(&stack) + fill_by_threads(&region());
        mapped.reset().expect("a heap that was never synced");
        stack.reset();
    }
    println!("{ROUNDS} rounds on three heaps, {slices} slices by 4 threads");
    assert!(slices > 300 * ROUNDS);
}

#[test]
fn values_and_collections_share_a_heap() {
    let heap = MAlloc::new();
    let mut texts = VecIn::new_in(&heap);
    let mut lengths = BTreeMap::new();
    for i in 0..1000 {
        let text: &str = heap.try_alloc_str(&i.to_string()).unwrap();
        texts.push(text);
        *lengths.entry(text.len()).or_insert(0) += 1;
    }
    assert!(texts.iter().enumerate().all(|(i, text)| text.parse() == Ok(i)));
    assert_eq!(lengths, BTreeMap::from([(1, 10), (2, 90), (3, 900)]));
}
