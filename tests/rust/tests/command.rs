//! What a program on `MAlloc` pays for running another: nothing, unless it forks.

use filz::mmap::MAlloc;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new();

const USED: usize = 64 << 20;

/// Bytes that this process has written in all its life; `None` if the kernel doesn't count.
fn bytes_written() -> Option<usize> {
    let counts = fs::read_to_string("/proc/self/io").ok()?;
    counts.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
}

/// Bytes that this process writes while `command` runs.
fn cost_of(command: &mut Command) -> Option<usize> {
    let before = bytes_written()?;
    let output = command.output().expect("echo is there");
    assert_eq!(output.stdout, b"here\n");
    Some(bytes_written()? - before)
}

/// One test, so that nothing else writes meanwhile.
#[test]
fn a_command_copies_the_heap_only_if_it_forks() {
    let numbers = vec![7u64; USED / 8];
    let mut command = Command::new("echo");
    let spawned = cost_of(command.arg("here"));

    // What runs between fork and exec needs a fork. It has the parent's data, in a heap of its own.
    let mut own = numbers.clone();
    let in_child = move || {
        let as_before = own.iter().all(|&number| number == 7);
        own.fill(8);
        own.push(9);
        as_before.then_some(()).ok_or(io::ErrorKind::InvalidData.into())
    };
    // SAFETY: no lock is held at the fork that the child would wait for: the other thread waits for this test to end.
    let forked = cost_of(unsafe { command.pre_exec(in_child) });
    assert!(numbers.iter().all(|&number| number == 7));

    match (spawned, forked) {
        (Some(spawned), Some(forked)) => {
            println!("bytes written: {spawned}, and with pre_exec {forked}");
            assert!(spawned < USED / 64);
            assert!(forked >= 2 * USED);
        }
        _ => println!("not measured: no /proc/self/io"),
    }
}
