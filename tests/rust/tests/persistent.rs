//! Heaps that outlive the program: each run is the program src/bin/persistent.rs, in a process of its own.

#![cfg_attr(feature = "nightly", feature(allocator_api))]

use allocator_api2::boxed::Box as BoxIn;
use allocator_api2::vec::Vec as VecIn;
use filz::mmap::{ErrorKind, In, MAlloc, StaticHeap};
use filz::{AllocError, Arena};
use std::alloc::{GlobalAlloc, Layout};
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// A directory of its own, for a run to work in.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory");
    directory
}

const fn c_string(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(string) => string,
        Err(_) => panic!("one zero byte, at its end"),
    }
}

fn run(what: &str, directory: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_persistent")).arg(what).current_dir(directory).output();
    let output = output.expect("a program that runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn each_run_finds_what_earlier_runs_left() {
    let directory = directory("persistent-runs");
    assert_eq!(run("run", &directory), "run 0");
    assert_eq!(run("run", &directory), "run 1, run 0");
    assert_eq!(run("run", &directory), "run 2, run 1, run 0");
}

#[test]
fn opening_another_programs_heap_is_an_error_and_leaves_it_unchanged() {
    let directory = directory("persistent-errors");
    run("run", &directory);
    let before = fs::read(directory.join("runs.filz")).expect("a file");
    assert_eq!(run("other-tag", &directory), "the heap in the file has another tag");
    assert_eq!(run("overwrite", &directory), "the file is a persistent heap, and is left as it is");
    assert!(before == fs::read(directory.join("runs.filz")).expect("a file"));
}

#[test]
fn a_heap_has_the_tag_that_was_set_last() {
    const PATH: &CStr = c_string(concat!(env!("CARGO_TARGET_TMPDIR"), "/tags.filz\0"));
    let _ = fs::remove_file(concat!(env!("CARGO_TARGET_TMPDIR"), "/tags.filz"));
    MAlloc::new().path(PATH).persistent(1).in_core_dumps().persistent(2).open().expect("a new heap");
    let both = MAlloc::new().path(PATH).persistent(1 | 2).open().expect_err("another tag");
    assert_eq!(both.kind(), ErrorKind::Tag);
    MAlloc::new().path(PATH).persistent(2).open().expect("its tag");
}

#[test]
fn the_next_run_finds_a_value_of_a_persistent_heap_as_its_root() {
    const PATH: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/values.filz");
    #[repr(C)]
    struct Node {
        number: u32,
        text: *const [u8; 5],
        next: Option<&'static Node>,
    }

    let _ = fs::remove_file(concat!(env!("CARGO_TARGET_TMPDIR"), "/values.filz"));
    for number in 0..3 {
        let heap = MAlloc::options().persistent(1).open(PATH).unwrap();
        // SAFETY: only this loop sets a root; what it leads to is in the heap, which lives longer than its use.
        let next = unsafe { heap.root::<Node>().map(|node| &*(node as *const Node)) };
        let text = heap.try_alloc(*b"text!").unwrap();
        let node = heap.try_alloc(Node { number, text, next }).unwrap();
        node.text = text;
        heap.set_root(node).expect("a node in the heap");
    }

    for options in [MAlloc::options().read_only(1), MAlloc::options().private(1)] {
        let heap = options.open(PATH).expect("a heap");
        let (is_private, outside) = (heap.try_alloc(1).is_ok(), Box::new(2));
        // SAFETY: the same.
        let mut node = unsafe { heap.root::<Node>() };
        for number in (0..3).rev() {
            let found = node.expect("three nodes");
            assert!(found.number == number && heap.owns(found.text));
            // SAFETY: the same.
            assert_eq!(unsafe { *found.text }, *b"text!");
            node = found.next;
        }
        assert!(node.is_none());
        assert_eq!(heap.try_alloc_str("new").is_ok(), is_private);
        assert_eq!(heap.try_alloc(()), Ok(&mut ()), "it takes nothing");
        assert!(heap.set_root(&*outside).is_err());
    }
    assert_eq!(MAlloc::options().read_only(1).open(PATH).unwrap().try_alloc(1), Err(AllocError));
    assert!(MAlloc::options().private(1).open(PATH).unwrap().try_alloc(1).is_ok());
}

/// Only Linux has the lock that it needs, of the systems on which tests run.
#[test]
#[cfg(target_os = "linux")]
fn other_processes_may_only_read_beside_a_shared_writer() {
    const PATH: &CStr = c_string(concat!(env!("CARGO_TARGET_TMPDIR"), "/shared.filz\0"));
    let _ = fs::remove_file(concat!(env!("CARGO_TARGET_TMPDIR"), "/shared.filz"));
    let writer = MAlloc::new().path(PATH).capacity(1 << 20).shared(1);
    writer.open().expect("a new heap");
    let kind = |heap: MAlloc| heap.open().expect_err("a heap that is open already").kind();
    assert_eq!(kind(MAlloc::new().path(PATH).persistent(1)), ErrorKind::InUse);
    assert_eq!(kind(MAlloc::new().path(PATH).shared(1)), ErrorKind::InUse);
    assert_eq!(kind(MAlloc::new().path(PATH).private(1)), ErrorKind::InUse);
    // In another process, it would be open now: in this one, the writer has its address.
    assert_eq!(kind(MAlloc::new().path(PATH).read_only(1)), ErrorKind::Base);
}

#[test]
fn several_processes_read_a_heap_and_write_only_private_copies() {
    const PATH: &CStr = c_string(concat!(env!("CARGO_TARGET_TMPDIR"), "/read.filz\0"));
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/read.filz");
    let _ = fs::remove_file(path);
    const BASE: usize = if cfg!(target_pointer_width = "64") { 0x4100_0000_0000 } else { 0x6100_0000 };
    let writer = MAlloc::new().path(PATH).capacity(1 << 20).persistent(1).at_address(BASE);
    writer.open().expect("a new heap");
    // SAFETY: a u32 isn't empty.
    let number = unsafe { writer.alloc(Layout::new::<u32>()) }.cast::<u32>();
    // SAFETY: the block is as large and as aligned as one.
    unsafe { number.write(2026) };
    writer.set_root(number).expect("an address in the heap");
    assert_eq!(number as usize >> 20, BASE >> 20);
    assert_eq!(MAlloc::new().path(PATH).read_only(1).open().expect_err("a writer").kind(), ErrorKind::InUse);
    drop(writer);

    let before = fs::read(path).expect("a file");
    let reader = MAlloc::new().path(PATH).read_only(1);
    reader.open().expect("a reader");
    // SAFETY: the root is a u32.
    assert_eq!(unsafe { reader.root::<u32>() }, Some(&2026));
    // SAFETY: a u32 isn't empty.
    assert!(unsafe { reader.alloc(Layout::new::<u32>()) }.is_null());
    assert_eq!(reader.set_root(number).expect_err("read-only").kind(), ErrorKind::System);
    assert_eq!(MAlloc::new().path(PATH).persistent(1).open().expect_err("a reader").kind(), ErrorKind::InUse);
    drop(reader);

    const BESIDE: &CStr = c_string(concat!(env!("CARGO_TARGET_TMPDIR"), "/beside.filz\0"));
    let mut beside = MAlloc::new().path(BESIDE).persistent(1);
    beside.open().expect("a new heap");
    assert_eq!(beside.publish("a zero \0 byte").expect_err("no C string").kind(), ErrorKind::Path);
    beside.publish(Path::new(env!("CARGO_TARGET_TMPDIR")).join("published.filz")).expect("another name");
    assert!(!beside.is_current(), "closed");

    let copy = MAlloc::new().path(PATH).private(1);
    copy.open().expect("a copy");
    assert!(copy.is_current());
    // SAFETY: a u32 isn't empty.
    assert!(!unsafe { copy.alloc(Layout::new::<u32>()) }.is_null());
    // SAFETY: the root is a u32 that nothing refers to.
    unsafe { number.write(2027) };
    // SAFETY: the root is a u32.
    assert_eq!(unsafe { copy.root::<u32>() }, Some(&2027));
    drop(copy);
    assert!(before == fs::read(path).expect("a file"));
}

/// The string that C was given is gone by then, and another one may be in its place.
#[test]
fn a_heap_does_not_keep_the_path_that_it_was_opened_by() {
    let directory = directory("by-options");
    let path = directory.join("words.filz");
    let mut heap = MAlloc::options().capacity(1 << 20).persistent(1).open(&path).expect("a new heap");
    assert_eq!(heap.stats().expect("open").path, path.to_str().map(str::as_bytes));
    assert!(format!("{heap:?}").ends_with("path: None, capacity: 1048576, open: true }"), "{heap:?}");
    assert!(heap.is_current());
    heap.open().expect("it is open");
    BoxIn::leak(BoxIn::new_in(7u8, &heap));
    heap.reset().expect("nobody reads it");
    heap.publish(directory.join("published.filz")).expect("another name");
    assert_eq!(heap.open().expect_err("it is closed").kind(), ErrorKind::Flags);
    drop(heap);
    assert!(!path.exists());

    let open = |heap: filz::mmap::Options| heap.open(directory.join("published.filz"));
    assert_eq!(open(MAlloc::options()).expect_err("not persistent").kind(), ErrorKind::Persistent);
    assert_eq!(open(MAlloc::options().persistent(2)).expect_err("another tag").kind(), ErrorKind::Tag);
    assert_eq!(open(MAlloc::options().read_only(1).private(1)).expect_err("both").kind(), ErrorKind::Flags);
    assert!(open(MAlloc::options().read_only(1)).expect("a reader").is_current());
    assert!(open(MAlloc::options().private(1).in_core_dumps()).expect("a copy").is_current());
    assert_eq!(MAlloc::options().open("a zero \0 byte").expect_err("no C string").kind(), ErrorKind::Path);
}

/// It isn't a heap in an unnamed file then, either.
#[test]
fn a_plain_heap_cannot_be_opened_again_without_its_path() {
    let directory = directory("by-options-again");
    let mut heap = MAlloc::options().capacity(1 << 20).open(directory.join("words.filz")).expect("a new heap");
    heap.publish(directory.join("published.filz")).expect("another name");
    assert_eq!(heap.open().expect_err("it is closed").kind(), ErrorKind::Flags);
}

#[test]
fn a_root_is_an_address_in_the_heap_or_null() {
    let heap = MAlloc::new();
    assert_eq!(heap.set_root(std::ptr::null::<u8>()).expect_err("closed").kind(), ErrorKind::Closed);
    heap.open().expect("a heap");
    // SAFETY: no root was ever set.
    assert!(unsafe { heap.root::<u8>() }.is_none());
    assert_eq!(heap.set_root(&7).expect_err("an address elsewhere").kind(), ErrorKind::Address);
    let seven: &u8 = BoxIn::leak(BoxIn::new_in(7, &heap));
    heap.set_root(seven).expect("an address in the heap");
    // SAFETY: a `u8` in this heap, which lives.
    assert_eq!(unsafe { heap.root::<u8>() }, Some(&7));
    heap.set_root(std::ptr::null::<u8>()).expect("none");
    // SAFETY: there is none.
    assert!(unsafe { heap.root::<u8>() }.is_none());
}

#[test]
fn an_unnamed_file_cannot_be_synced() {
    let heap = MAlloc::new();
    assert_eq!(heap.sync().expect_err("closed").kind(), ErrorKind::Closed);
    heap.open().expect("a heap");
    let expected = if heap.stats().expect("open").path.is_some() { Ok(()) } else { Err(ErrorKind::Unnamed) };
    assert_eq!(heap.sync().map_err(|error| error.kind()), expected);
}

filz::static_heap! {
    static WORDS: Words = MAlloc::new();
    #[allow(dead_code)]
    pub(crate) static OTHERS: Others = MAlloc::new()
}

#[test]
fn a_handle_has_size_zero_and_can_be_sent() {
    fn is_send_and_sync<T: Send + Sync + Copy + Default>() {}
    is_send_and_sync::<In<Words>>();
    is_send_and_sync::<In<Others>>();
    assert_eq!(std::mem::size_of::<In<Words>>(), 0);
    let mut numbers = VecIn::new_in(In::<Words>::NEW);
    numbers.extend(0..1000);
    assert!(WORDS.owns(numbers.as_ptr()) && std::ptr::eq(Words::heap(), &WORDS));
    assert_eq!(std::mem::size_of::<VecIn<u8, In<Words>>>(), std::mem::size_of::<Vec<u8>>());
}
