//! Types in a persistent heap: each run is the program src/bin/persistent_types.rs, in a process of its own.

use filz::persistent::{Heap, Ref};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

/// A directory of its own, for a run to work in.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory");
    directory
}

fn command(arguments: &str, directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_persistent_types"));
    command.args(arguments.split(' ')).current_dir(directory).stdin(Stdio::null());
    command
}

fn output_of(mut command: Command) -> String {
    let output = command.output().expect("a program that runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn run(arguments: &str, directory: &Path) -> String {
    output_of(command(arguments, directory))
}

#[test]
fn three_runs_build_find_and_extend_an_index() {
    let directory = directory("types-index");
    assert_eq!(run("extend red fish", &directory), "1 runs; fish 1!; red 1!\n");
    assert_eq!(run("find fish", &directory), "fish: 1\n");
    assert_eq!(run("find blue", &directory), "blue: 0\n");
    assert_eq!(run("extend blue fish", &directory), "2 runs; blue 2!; fish 1! 2; red 1!\n");
    assert_eq!(run("extend", &directory), "3 runs; blue 2!; fish 1! 2; red 1!\n");
    let mut found: Vec<String> = run("find fish blue red", &directory).lines().map(String::from).collect();
    found.sort();
    assert_eq!(found, ["blue: 1", "fish: 2", "red: 1"]);
}

#[test]
fn a_heap_is_only_in_the_file_that_the_run_names() {
    let directory = directory("types-elsewhere");
    assert_eq!(run("elsewhere other.filz red fish", &directory), "Place { run: 1, kind: First }\n");
    assert_eq!(run("read-elsewhere other.filz", &directory), "1 runs; fish 1!; red 1!\n");
    assert!(!directory.join("words.filz").exists());
}

#[test]
fn opening_a_heap_of_another_layout_is_an_error_and_leaves_it_unchanged() {
    let directory = directory("types-other");
    run("extend red fish", &directory);
    let before = fs::read(directory.join("words.filz")).expect("a file");
    assert_eq!(run("other", &directory), "the heap in the file has another tag\n");
    assert_eq!(run("other-read", &directory), "the heap in the file has another tag\n");
    assert!(before == fs::read(directory.join("words.filz")).expect("a file"));
}

#[test]
fn a_value_that_does_not_fit_is_an_error_and_the_root_stays() {
    let directory = directory("types-full");
    run("extend red fish", &directory);
    let mut fill = command("fill", &directory);
    fill.env("FILZ_CAPACITY", "4M");
    assert_eq!(output_of(fill), "the value doesn't fit the heap's capacity or the disk\n");
    assert_eq!(run("extend", &directory), "2 runs; fish 1!; red 1!\n");
}

#[test]
fn several_processes_read_a_heap_and_cannot_write_it() {
    let directory = directory("types-read");
    run("extend red fish", &directory);
    run("extend red", &directory);
    let before = fs::read(directory.join("words.filz")).expect("a file");
    let mut readers: Vec<Child> = Vec::new();
    for _ in 0..3 {
        let mut command = command("read", &directory);
        let mut reader = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a reader");
        let mut line = String::new();
        BufReader::new(reader.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "2 runs; fish 1!; red 1! 2\n");
        readers.push(reader);
    }
    assert_eq!(run("open", &directory), "another heap, or another program, has the file open\n");
    for mut reader in readers {
        drop(reader.stdin.take());
        assert!(reader.wait().expect("an end").success());
    }
    assert!(before == fs::read(directory.join("words.filz")).expect("a file"));
    assert_eq!(run("extend", &directory), "3 runs; fish 1!; red 1! 2\n");
}

filz::persistent! {
    heap Forked: u32 = concat!(env!("CARGO_TARGET_TMPDIR"), "/types-fork.filz");
}

#[test]
fn a_forked_child_has_its_own_values_and_cannot_set_the_root() {
    let _ = fs::remove_file(concat!(env!("CARGO_TARGET_TMPDIR"), "/types-fork.filz"));
    let root = Forked::set_root(1).expect("a new heap");
    // SAFETY: fork(2): what the child calls takes no lock that another thread of this test holds.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let is_right = *root == 1
            && Ref::<u32, Forked>::new(2).is_ok_and(|value| *value == 2)
            && Forked::set_root(3).is_err()
            && Forked::sync().is_err()
            && Forked::open() == Ok(Some(root));
        // SAFETY: _exit(2): nothing runs after it.
        unsafe { libc::_exit(if is_right { 0 } else { 1 }) };
    }
    let mut status = -1;
    // SAFETY: waitpid(2): `status` is ours to write.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(Forked::open(), Ok(Some(root)));
    assert_eq!(*Forked::set_root(4).expect("the parent's heap"), 4);
}

/// After a power cut, the newest chunk may not be on the disk. What the root before led to is: `set_root` has synced it.
#[test]
fn an_incomplete_newest_state_leads_to_the_previous_root() {
    let directory = directory("types-power");
    run("extend red fish", &directory);
    run("extend red", &directory);
    run("leave", &directory);
    let path = directory.join("words.filz");
    let mut file = fs::read(&path).expect("a file");
    let block = file.windows(8).position(|bytes| bytes == b"pattern!").expect("what was left");
    file[block - block % 4096..block].fill(0); // the header of its chunk
    fs::write(&path, file).expect("a file written");
    assert_eq!(run("extend", &directory), "2 runs; fish 1!; red 1!\n");
}

/// Each round, a run goes on where the last one was killed. What `set_root` has returned for is there.
#[test]
fn a_killed_run_leaves_a_complete_root() {
    const ROUNDS: u32 = 60;
    let directory = directory("types-kill");
    let mut links = 0;
    for round in 0..ROUNDS {
        let mut grow = command("grow", &directory).stdout(Stdio::piped()).spawn().expect("a program that runs");
        let output = BufReader::new(grow.stdout.take().expect("a pipe"));
        let reader = thread::spawn(move || output.lines().map_while(Result::ok).last());
        thread::sleep(Duration::from_micros(u64::from(round) * 7919 % 30_000));
        grow.kill().expect("a process");
        grow.wait().expect("an end");
        // A last line that was cut short is a number that is smaller.
        let said: u64 = reader.join().expect("a reader").and_then(|line| line.parse().ok()).unwrap_or(links);
        let found: u64 = run("check", &directory).trim().parse().expect("a number");
        assert!(found >= said && found >= links, "{found} links of {said}, after {links}");
        links = found;
    }
    println!("{ROUNDS} rounds, {links} links, none lost");
    assert!(links > 0);
}

/// Declarations that differ in one thing each: name, body of the types, and their root.
macro_rules! variants {
    ($($module:ident: $Root:ty = { $($items:tt)* })*) => {
        $(mod $module {
            #![allow(dead_code)]
            filz::persistent! {
                pub heap H: $Root = "variants.filz";
                $($items)*
            }
        })*

        const TAGS: &[(&str, u64)] = &[$((stringify!($module), <$module::H as Heap>::TAG)),*];
    };
}

variants! {
    first: A = { pub struct A { x: u32, y: B } pub struct B { z: u32 } }
    other_type: A = { pub struct A { x: i32, y: B } pub struct B { z: u32 } }
    other_order: A = { pub struct A { y: B, x: u32 } pub struct B { z: u32 } }
    other_field: A = { pub struct A { w: u32, y: B } pub struct B { z: u32 } }
    other_type_inside: A = { pub struct A { x: u32, y: B } pub struct B { z: f32 } }
    other_name: C = { pub struct C { x: u32, y: B } pub struct B { z: u32 } }
    other_root: B = { pub struct A { x: u32, y: B } pub struct B { z: u32 } }
    one_field_more: A = { pub struct A { x: u32, y: B } pub struct B { z: u32, a: u32 } }
    one_struct_more: A = { pub struct A { x: u32, y: B } pub struct B { z: u32 } pub struct C { z: u32 } }
    aligned: A = { #[repr(align(16))] pub struct A { x: u32, y: B } pub struct B { z: u32 } }
    array: A = { pub struct A { x: [u32; 1], y: B } pub struct B { z: u32 } }
    longer_array: A = { pub struct A { x: [u32; 2], y: B } pub struct B { z: u32 } }
    pointer: A = { pub struct A { y: filz::persistent::Ref<B, H> } pub struct B { z: u32 } }
    option: A = { pub struct A { y: Option<filz::persistent::Ref<B, H>> } pub struct B { z: u32 } }
    pointer_to_other_type: A = { pub struct A { y: filz::persistent::Ref<B, H> } pub struct B { z: u64 } }
    pointer_to_itself: A = { pub struct A { y: filz::persistent::Ref<A, H> } pub struct B { z: u32 } }
    slice: A = { pub struct A { y: filz::persistent::Slice<B, H> } pub struct B { z: u32 } }
    map: filz::persistent::Map<u32, B, H> = { pub struct B { z: u32 } }
    swapped_map: filz::persistent::Map<u32, f32, H> = {}
    map_of_other_type: filz::persistent::Map<u32, u32, H> = {}
    text: filz::persistent::Str<H> = {}
    bytes: filz::persistent::Slice<u8, H> = {}
    kinds: K = { pub enum K { Red, Blue } }
    other_kinds: K = { pub enum K { Blue, Red } }
    more_kinds: K = { pub enum K { Red, Blue, Green } }
    numbered_kinds: K = { pub enum K { Red, Blue = 2 } }
}

mod again {
    mod names {
        pub type Number = u32;
    }

    filz::persistent! {
        pub heap Other: A = "other.filz";

        /// Neither comments, attributes and visibility nor another name of a type make another layout.
        #[derive(Clone, Copy)]
        #[allow(dead_code)]
        pub struct A {
            /// One.
            pub x: names::Number,
            pub(crate) y: B,
        }
        #[derive(Clone, Copy)]
        #[allow(dead_code)]
        pub struct B {
            z: u32,
        }
    }
}

#[test]
fn each_layout_has_its_own_tag() {
    for (at, (name, tag)) in TAGS.iter().enumerate() {
        for (other, other_tag) in &TAGS[..at] {
            assert_ne!(tag, other_tag, "{name} and {other}");
        }
    }
    assert_eq!(again::Other::TAG, first::H::TAG);
}

/// So that a new version of filz, or of the compiler, opens the heaps that an old one has made.
#[test]
fn the_tag_of_a_layout_never_changes() {
    assert_eq!(first::H::TAG, 0xc2af_6f00_d5e5_cbff);
}
