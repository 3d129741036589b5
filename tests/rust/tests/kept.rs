//! Heaps that outlive the program: each run is the program src/bin/kept.rs, in a process of its own.

#![cfg_attr(feature = "nightly", feature(allocator_api))]

use allocator_api2::boxed::Box as BoxIn;
use allocator_api2::vec::Vec as VecIn;
use filz::mmap::{In, MAlloc, StaticHeap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// A folder of its own, for a run to work in.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn run(what: &str, folder: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kept")).arg(what).current_dir(folder).output();
    let output = output.expect("a program that runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn each_run_finds_what_the_runs_before_it_have_left() {
    let folder = folder("kept-runs");
    assert_eq!(run("run", &folder), "run 0");
    assert_eq!(run("run", &folder), "run 1, run 0");
    assert_eq!(run("run", &folder), "run 2, run 1, run 0");
}

#[test]
fn a_heap_that_is_not_this_programs_is_an_error_and_stays_as_it_was() {
    let folder = folder("kept-errors");
    run("run", &folder);
    let before = fs::read(folder.join("kept.filz")).expect("a file");
    let tag = run("other-tag", &folder);
    assert!(tag.starts_with("the heap in the file has another tag (os error"), "{tag}");
    let overwrite = run("overwrite", &folder);
    assert!(overwrite.starts_with("the file isn't one of filz's to overwrite"), "{overwrite}");
    assert!(before == fs::read(folder.join("kept.filz")).expect("a file"));
}

#[test]
fn a_kept_heap_needs_a_path() {
    static HEAP: MAlloc = MAlloc::new().kept(7);
    let error = HEAP.open().expect_err("no path");
    assert!(error.to_string().contains("a kept heap without a path"), "{error}");
}

#[test]
fn a_root_is_an_address_in_the_heap_or_none() {
    let heap = MAlloc::new();
    assert!(heap.set_root(std::ptr::null::<u8>()).is_err(), "it isn't open");
    heap.open().expect("a heap");
    // SAFETY: no root was ever set.
    assert!(unsafe { heap.root::<u8>() }.is_none());
    assert_eq!(heap.set_root(&7).expect_err("an address elsewhere").to_string().find("the address isn't"), Some(0));
    let seven: &u8 = BoxIn::leak(BoxIn::new_in(7, &heap));
    heap.set_root(seven).expect("an address in the heap");
    // SAFETY: a `u8` in this heap, which lives.
    assert_eq!(unsafe { heap.root::<u8>() }, Some(&7));
    heap.set_root(std::ptr::null::<u8>()).expect("none");
    // SAFETY: there is none.
    assert!(unsafe { heap.root::<u8>() }.is_none());
}

#[test]
fn what_has_no_name_can_not_be_brought_to_the_disk() {
    let heap = MAlloc::new();
    assert!(heap.sync().expect_err("closed").to_string().starts_with("the heap isn't open"));
    heap.open().expect("a heap");
    let has_name = heap.stats().expect("open").path.is_some();
    assert_eq!(heap.sync().is_ok(), has_name);
}

struct Words;

impl StaticHeap for Words {
    fn heap() -> &'static MAlloc {
        static HEAP: MAlloc = MAlloc::new();
        &HEAP
    }
}

#[test]
fn a_handle_takes_no_space_and_can_be_sent() {
    fn is_send_and_sync<T: Send + Sync + Copy + Default>() {}
    is_send_and_sync::<In<Words>>();
    assert_eq!(std::mem::size_of::<In<Words>>(), 0);
    let mut numbers = VecIn::new_in(In::<Words>::NEW);
    numbers.extend(0..1000);
    assert!(Words::heap().owns(numbers.as_ptr()));
    assert_eq!(std::mem::size_of::<VecIn<u8, In<Words>>>(), std::mem::size_of::<Vec<u8>>());
}
