//! A test program on `MAlloc::new()`.

mod suite;

use filz::mmap::{MAlloc, Page, PageKind};
use std::env;
use std::process::Command;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new();

const CAPACITY: usize = 1 << 36;

#[test]
fn the_heap_describes_itself() {
    let block = vec![1u8; 10_000];
    assert!(ALLOCATOR.owns(block.as_ptr()));
    assert!(!ALLOCATOR.owns(&ALLOCATOR));

    let heap = ALLOCATOR.stats().expect("open");
    assert!(10_000 < heap.used && heap.used <= heap.in_chunks);
    assert!(heap.in_chunks <= heap.committed && heap.committed <= heap.capacity);
    assert!(heap.blocks > 0 && heap.chunks > 0 && heap.threads > 0);
}

#[test]
fn pages_report_how_the_file_is_used() {
    let heap = ALLOCATOR.stats().expect("open");
    let mut pages = vec![Page::default(); heap.in_chunks / heap.page_size];
    let count = pages.len();
    assert_eq!(ALLOCATOR.pages(0, &mut pages).expect("open").len(), count);
    assert_eq!(pages[0].kind(), PageKind::Used);
    assert_eq!(pages[0].thread(), None);
    assert!(pages[0].in_ram());
    assert!(pages.iter().any(|page| page.kind() == PageKind::Used && page.thread().is_some()));

    assert!(ALLOCATOR.pages(usize::MAX, &mut pages).expect("open").is_empty());
    assert!(ALLOCATOR.pages(0, &mut []).expect("open").is_empty());
}

#[test]
fn a_program_names_the_missing_directory_and_the_reason() {
    let run = |quiet| {
        let mut program = Command::new(env::current_exe().unwrap());
        program.env("FILZ_DIR", "/nowhere/to/be/found").env("FILZ_QUIET", quiet);
        program.output().unwrap()
    };
    let output = run("0");
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("/nowhere/to/be/found/mmap_default")).collect();
    assert!(!output.status.success());
    assert!(lines.len() == 1 && lines[0].contains("no such file or directory"), "{said}");

    let said = String::from_utf8(run("1").stderr).unwrap();
    assert!(!said.contains("/nowhere"), "{said}");
}
