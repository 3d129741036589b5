//! The demo's outcomes, as a person sees them.

use std::fs;
use std::process::{Command, Output};

fn demo(file: &str, capacity: &str) -> Output {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    demo.current_dir(env!("CARGO_TARGET_TMPDIR")).env("FILZ_CAPACITY", capacity).env("LC_ALL", "C.UTF-8");
    if !file.is_empty() {
        demo.arg(file);
    }
    demo.output().unwrap()
}

/// A file for one test, in a directory for tests.
fn file(name: &str, content: &[u8]) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&path, content).unwrap();
    path
}

fn ends_clearly(output: Output, says: &str) {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("demo: ") && said.contains(says) && said.lines().count() == 1, "{said}");
}

#[test]
fn without_a_file_it_counts_the_text_that_it_carries() {
    let output = demo("", "1G");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(said.starts_with("1096 words, 440 different."), "{said}");
    assert!(said.contains("\n       14 door\n"), "{said}");
    assert!(said.contains("\nThe heap: "), "{said}");
}

#[test]
fn it_counts_words_whatever_their_case_and_script() {
    let path = file("words.txt", "Été été ÉTÉ—don't ‘don't’ x2y, 'tis ... 42 été\n".as_bytes());
    let said = String::from_utf8(demo(&path, "1G").stdout).unwrap();
    assert!(said.starts_with("9 words, 5 different."), "{said}");
    assert!(said.contains("        4 été\n        2 don't\n        1 tis\n        1 x\n        1 y\n"), "{said}");
}

#[test]
fn an_empty_file_has_no_words() {
    let said = String::from_utf8(demo(&file("empty.txt", b""), "1G").stdout).unwrap();
    assert!(said.starts_with("0 words, 0 different."), "{said}");
}

#[cfg(not(feature = "stack"))]
#[test]
fn it_shows_a_map_of_the_pages() {
    let said = String::from_utf8(demo("", "1G").stdout).unwrap();
    let map = said.lines().rev().nth(1).unwrap().trim();
    assert!(map.starts_with('█') && (8..=64).contains(&map.chars().count()), "{said}");
    assert!(map.chars().all(|symbol| "█▓▒░".contains(symbol)), "{said}");
}

#[cfg(not(feature = "stack"))]
#[test]
fn its_map_is_ascii_where_the_locale_is() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    let output = demo.current_dir(env!("CARGO_TARGET_TMPDIR")).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let heap = &said[said.find("The heap: ").unwrap()..];
    assert!(heap.is_ascii() && heap.contains("\n  # used  + used, not in RAM"), "{said}");
}

#[test]
fn a_text_that_does_not_fit_is_said() {
    let path = file("large.txt", "many words ".repeat(2_000_000).as_bytes());
    ends_clearly(demo(&path, "16M"), "the text doesn't fit into the heap");
}

#[cfg(feature = "stack")]
#[test]
fn a_text_that_almost_fits_ends_as_clearly() {
    for left in (0..8_192).step_by(256) {
        let path = file("almost.txt", &vec![b'x'; (16 << 20) - left]);
        ends_clearly(demo(&path, ""), "the text doesn't fit into the heap");
    }
}

#[test]
fn a_file_that_is_no_text_is_said() {
    ends_clearly(demo(&file("binary", b"text \xff"), "1G"), "not UTF-8 text, at byte 5");
}

#[test]
fn a_file_that_is_missing_is_said() {
    ends_clearly(demo("nowhere.txt", "1G"), "nowhere.txt: No such file");
}
