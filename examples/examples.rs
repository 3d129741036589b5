//! Runs each example and looks at what it says.

use std::process::Command;

fn run(program: &str) -> String {
    let output = Command::new(program).current_dir(env!("CARGO_TARGET_TMPDIR")).output().expect("a program that runs");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn mmap_fills_a_file() {
    let output = run(env!("CARGO_BIN_EXE_mmap"));
    assert!(output.starts_with("the last square is 999998000001\n"), "{output}");
    assert!(output.contains(" bytes used in "), "{output}");
}

#[test]
fn stack_goes_back_to_its_mark() {
    let output = run(env!("CARGO_BIN_EXE_stack"));
    assert_eq!(output, "the last is first\na mark is the place and rewind goes back\n0 bytes used\n");
}

#[test]
fn list_has_its_heap_to_itself_in_each_round() {
    let output = run(env!("CARGO_BIN_EXE_list"));
    let rounds = (1..=3).map(|round| format!("round {round}: sum 5000050000, 100000 nodes\n"));
    assert_eq!(output, rounds.collect::<String>());
}

#[test]
fn threads_share_a_heap() {
    let output = run(env!("CARGO_BIN_EXE_threads"));
    assert!(output.ends_with(" blocks by 3 threads, 0 wrong\n"), "{output}");
}
