//! What can go wrong with a heap, as a Rust program sees it.

#![cfg_attr(feature = "nightly", feature(allocator_api))]

use allocator_api2::boxed::Box as BoxIn;
use filz::mmap::{Error, ErrorKind, MAlloc};
use filz::stack::{StackAllocator, StackRegion};
use filz::{AllocError, Arena};
use std::ffi::CString;
use std::io::{self, ErrorKind as Io};
use std::os::unix::{ffi::OsStrExt, fs::PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TAG: u64 = 1;

/// A file for one test, which isn't there yet.
fn file(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("errors");
    fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join(name);
    let _ = fs::remove_file(&file);
    file
}

fn heap(path: &Path) -> MAlloc {
    heap_of(path, 0)
}

fn heap_of(path: &Path, capacity: usize) -> MAlloc {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no zero byte");
    MAlloc::new().path(Box::leak(path.into_boxed_c_str())).capacity(capacity)
}

fn refused(heap: &MAlloc) -> Error {
    heap.open().expect_err("a heap that can't be opened")
}

/// A persistent heap of about a hundred kilobytes, which has been closed.
fn persistent(name: &str) -> PathBuf {
    let path = file(name);
    let heap = heap(&path).persistent(TAG);
    BoxIn::leak(BoxIn::new_in([1u8; 100_000], &heap));
    path
}

/// Writes into a file, and says what the next run finds there.
fn overwritten(name: &str, offset: usize, bytes: &[u8]) -> ErrorKind {
    let path = persistent(name);
    let mut content = fs::read(&path).expect("a file");
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
    fs::write(&path, &content).expect("a file written");
    let kind = refused(&heap(&path).persistent(TAG)).kind();
    assert!(fs::read(&path).expect("a file") == content, "it stays as it was, byte for byte");
    kind
}

#[test]
fn impossible_settings_are_errors() {
    let long = Path::new("/tmp").join("x".repeat(2_000));
    assert_eq!(refused(&MAlloc::new().capacity(1)).kind(), ErrorKind::Capacity);
    assert_eq!(refused(&MAlloc::new().capacity(usize::MAX)).kind(), ErrorKind::Capacity);
    assert_eq!(refused(&MAlloc::new().persistent(TAG)).kind(), ErrorKind::Flags);
    assert_eq!(refused(&heap(&long)).kind(), ErrorKind::Path);
}

#[test]
fn a_capacity_variable_that_is_not_a_number_is_an_error() {
    const NO_NUMBER: &str = "as much as there is";
    if env::var_os("FILZ_CAPACITY").is_some_and(|capacity| capacity == NO_NUMBER) {
        assert_eq!(refused(&MAlloc::new()).kind(), ErrorKind::Variable);
        return;
    }
    let mut again = Command::new(env::current_exe().expect("this program"));
    again.env("FILZ_CAPACITY", NO_NUMBER).args(["--exact", "a_capacity_variable_that_is_not_a_number_is_an_error"]);
    assert!(again.output().expect("a program that runs").status.success());
}

#[test]
fn files_that_are_not_heaps_are_refused() {
    let (text, linked, shared) = (file("text"), file("linked"), file("shared"));
    fs::write(&text, "somebody's text").expect("a file");
    fs::write(&linked, "").expect("a file");
    fs::write(&shared, "").expect("a file");
    fs::hard_link(&linked, file("its-other-name")).expect("a link");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o666)).expect("a mode");
    assert_eq!(refused(&heap(&text)).kind(), ErrorKind::NotHeap);
    assert_eq!(refused(&heap(&text).persistent(TAG)).kind(), ErrorKind::NotHeap);
    assert_eq!(refused(&heap(&linked)).kind(), ErrorKind::Links);
    assert_eq!(refused(&heap(&shared)).kind(), ErrorKind::Mode);
    assert_eq!(refused(&heap(Path::new("/dev/null"))).kind(), ErrorKind::NotFile);
    assert_eq!(fs::read(&text).expect("a file"), b"somebody's text");
}

#[test]
fn a_file_that_another_heap_has_open_is_in_use() {
    let path = file("in-use");
    let first = heap(&path);
    first.open().expect("a heap");
    assert_eq!(refused(&heap(&path)).kind(), ErrorKind::InUse);
    drop(first);
    heap(&path).open().expect("unlocked by the drop");
}

#[test]
fn a_persistent_heap_of_another_program_is_refused() {
    let path = persistent("not-this-programs");
    assert_eq!(refused(&heap(&path)).kind(), ErrorKind::Persistent);
    assert_eq!(refused(&heap(&path).persistent(TAG + 1)).kind(), ErrorKind::Tag);
    assert_eq!(refused(&heap_of(&path, 64 << 10).persistent(TAG)).kind(), ErrorKind::TooSmall);
    heap(&path).persistent(TAG).open().expect("as it was");
}

#[test]
fn a_copy_of_a_heap_cannot_be_opened_beside_the_original() {
    let (path, copy) = (persistent("original"), file("copy"));
    fs::copy(&path, &copy).expect("a copy");
    let first = heap(&path).persistent(TAG);
    first.open().expect("a heap");
    assert_eq!(refused(&heap(&copy).persistent(TAG)).kind(), ErrorKind::Base);
    drop(first);
    heap(&copy).persistent(TAG).open().expect("the address is free");
}

/// The offsets are those of `struct fz_header` in c/format.h.
#[test]
fn a_file_of_another_format_or_a_damaged_one_is_refused() {
    assert_eq!(overwritten("format", 8, &[99]), ErrorKind::Format);
    assert_eq!(overwritten("word-size", 12, &[99]), ErrorKind::WordSize);
    assert_eq!(overwritten("checksum", 48, &[0xff; 8]), ErrorKind::Damaged);
    let path = persistent("truncated");
    let size = fs::metadata(&path).expect("a file").len();
    fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(size / 4)).expect("a shorter file");
    assert_eq!(refused(&heap(&path).persistent(TAG)).kind(), ErrorKind::Truncated);
}

#[test]
fn an_error_of_the_system_has_its_errno() {
    let directory = refused(&heap(Path::new(env!("CARGO_TARGET_TMPDIR"))));
    assert_eq!((directory.kind(), directory.raw_os_error()), (ErrorKind::System, Some(libc::EISDIR)));
    let nowhere = refused(&heap(Path::new("/nowhere/to/be/found")));
    assert_eq!((nowhere.kind(), nowhere.raw_os_error()), (ErrorKind::System, Some(libc::ENOENT)));
    assert_eq!(refused(&MAlloc::new().capacity(1)).raw_os_error(), None, "filz found this");
}

#[test]
fn an_error_has_a_text_and_debug_output() {
    let found = refused(&heap(&persistent("text-of-it")).persistent(TAG + 1));
    assert_eq!(found.to_string(), "the heap in the file has another tag");
    assert_eq!(format!("{found:?}"), r#"Error { kind: Tag, message: "the heap in the file has another tag" }"#);
    let said = refused(&heap(Path::new(env!("CARGO_TARGET_TMPDIR"))));
    assert_eq!(said.to_string(), "it is a directory (os error 21)");
    assert_eq!(format!("{said:?}"), r#"Error { kind: System, code: 21, message: "it is a directory" }"#);
}

/// As a function that does other things with files too.
fn open_and_read(heap: &MAlloc, path: &Path) -> io::Result<Vec<u8>> {
    heap.open()?;
    fs::read(path)
}

#[test]
fn an_error_converts_to_an_io_error() {
    let path = file("in-use-too");
    let first = heap(&path);
    open_and_read(&first, &path).expect("a heap");
    let found = open_and_read(&heap(&path), &path).expect_err("in use");
    assert_eq!((found.kind(), found.raw_os_error()), (Io::WouldBlock, None));
    let inside = found.get_ref().and_then(|error| error.downcast_ref::<Error>()).expect("it is inside");
    assert_eq!(inside.kind(), ErrorKind::InUse);
    assert_eq!(found.to_string(), inside.to_string());

    let said = open_and_read(&heap(Path::new("/nowhere/to/be/found")), &path).expect_err("no such directory");
    assert_eq!((said.kind(), said.raw_os_error()), (Io::NotFound, Some(libc::ENOENT)));
}

#[test]
fn errors_convert_to_the_io_error_kinds_that_programs_know() {
    let path = persistent("kinds");
    let io = |heap: MAlloc| io::Error::from(refused(&heap)).kind();
    assert_eq!(io(MAlloc::new().capacity(1)), Io::InvalidInput);
    assert_eq!(io(heap(&path)), Io::AlreadyExists);
    assert_eq!(io(heap(&path).persistent(TAG + 1)), Io::InvalidData);
    assert_eq!(io(heap(Path::new("/dev/null"))), Io::InvalidInput);
    assert_eq!(io::Error::from(MAlloc::new().stats().expect_err("closed")).kind(), Io::Other);
}

#[test]
fn a_heap_that_cannot_be_opened_returns_an_alloc_error() {
    let heap = MAlloc::new().path(c"/dev/null/values.filz");
    assert_eq!(heap.try_alloc(1), Err(AllocError));
    assert_eq!(heap.try_alloc_str("text"), Err(AllocError));
    assert_eq!(StackRegion::empty().try_alloc(1), Err(AllocError));
}

#[test]
fn alloc_errors_convert_to_other_errors_and_from_them() {
    fn fill(heap: &StackAllocator<64>) -> Result<usize, AllocError> {
        let theirs: Result<(), allocator_api2::alloc::AllocError> = heap.try_alloc(0u8).map(|_| ()).map_err(Into::into);
        theirs?;
        Ok(heap.try_alloc_slice_fill_copy(64, 0u8)?.len())
    }
    assert_eq!(fill(&StackAllocator::new()), Err(AllocError));
    assert_eq!(io::Error::from(AllocError).kind(), io::ErrorKind::OutOfMemory);
    let boxed: Box<dyn std::error::Error> = AllocError.into();
    assert_eq!(boxed.to_string(), "the heap has no room, or can't be opened or written");
}
