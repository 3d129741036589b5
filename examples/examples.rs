//! Runs each example and checks its output.

use std::fs;
use std::path::Path;
use std::process::Command;

fn run(program: &str) -> String {
    run_with(program, &[])
}

fn run_with(program: &str, arguments: &[&str]) -> String {
    run_in(Path::new(env!("CARGO_TARGET_TMPDIR")), program, arguments)
}

fn run_in(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(directory).output();
    let output = output.expect("a program that runs");
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

#[test]
fn words_are_indexed_once_and_found_again() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let _ = fs::remove_file(directory.join("words-rs.filz"));
    fs::write(directory.join("text"), "One fish, two fish.\nRed fish!\n").expect("a text written");
    let lines = "4 words in 2 lines\nfish: 3 times, last in line 2\nblue: nowhere\n";
    let look_up = || run_with(env!("CARGO_BIN_EXE_words"), &["text", "fish", "blue"]);
    assert_eq!(look_up(), format!("built: {lines}"));
    assert_eq!(look_up(), format!("found: {lines}"));
    assert_eq!(look_up(), format!("found: {lines}"));

    fs::write(directory.join("text"), "Blue fish?\n").expect("another text written");
    assert_eq!(look_up(), "built: 2 words in 1 lines\nfish: 1 times, last in line 1\nblue: 1 times, last in line 1\n");
}

#[test]
fn inverted_index_has_the_lines_of_each_word_in_order() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let lines =
        (1..=1000).map(|line| format!("All of line{line}, {} all\n", if line % 250 == 1 { "Fish!" } else { "" }));
    fs::write(directory.join("inverted-text"), lines.collect::<String>()).expect("a text written");
    let output = run_with(env!("CARGO_BIN_EXE_inverted-index"), &["inverted-text", "fish", "LINE500", "blue", "all"]);
    let (first, rest) = output.split_once('\n').expect("more lines than one");
    assert!(first.starts_with("1003 words in 1000 lines, ") && first.ends_with(" bytes, 5 threads"), "{first}");
    let all: Vec<u32> = (1..=1000).collect();
    assert_eq!(rest, format!("fish: [1, 251, 501, 751]\nLINE500: [500]\nblue: nowhere\nall: {all:?}\n"));

    fs::write(directory.join("inverted-text"), "").expect("an empty text written");
    let output = run_with(env!("CARGO_BIN_EXE_inverted-index"), &["inverted-text", "fish"]);
    assert!(output.starts_with("0 words in 0 lines, ") && output.ends_with("\nfish: nowhere\n"), "{output}");
}

#[test]
fn rounds_use_the_same_memory_again() {
    let output = run_with(env!("CARGO_BIN_EXE_rounds"), &["200"]);
    let memory = |line: &str| line.split_once(" pairs, ").expect("a line of a frame").1.to_owned();
    let mut lines = output.lines();
    let first = lines.next().expect("a first frame");
    assert!(first.starts_with("frame 1: ") && !first.contains(" 0 pairs"), "{first}");
    let mut frames = 1;
    for line in lines {
        frames += 1;
        assert!(line.starts_with(&format!("frame {frames}: ")), "{line}");
        assert_eq!(memory(line), memory(first), "{line}");
    }
    assert_eq!(frames, 200);
}

#[test]
fn kept_index_is_built_added_to_and_found() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kept-index");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).expect("a fresh directory");
    fs::write(directory.join("one"), "One fish, two fish.\nRed fish!\n").expect("a text written");
    fs::write(directory.join("two"), "Blue fish.\n\nRed sky.\n").expect("another text written");
    let run = |arguments: &[&str]| run_in(&directory, env!("CARGO_BIN_EXE_kept-index"), arguments);
    assert_eq!(run(&["add", "one"]), "4 words in 1 texts\n");
    assert_eq!(run(&["add", "two"]), "6 words in 2 texts\n");

    let file = directory.join("kept-index.filz");
    let before = fs::read(&file).expect("the heap");
    let found = "Fish: one:1 one:2 two:1\ntwo: one:1\nsky: two:3\ngreen:\n";
    assert_eq!(run(&["find", "Fish", "two", "sky", "green"]), found);
    assert!(fs::read(&file).expect("the heap") == before, "a run that only looks up has changed the heap");
}

/// Compiles a C program with libfilz, by one command, and returns its path.
fn compile(source: &str) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(source.replace('/', "-")).with_extension("in-c");
    let mut compiler = Command::new("cc");
    compiler.arg("-I").arg(here.join("../include")).args([here.join(source), here.join("../c/filz.c")]);
    compiler.args(["-O2", "-pthread", "-o"]).arg(&program);
    assert!(compiler.status().expect("a C compiler").success());
    program.to_str().expect("a path in UTF-8").to_owned()
}

#[test]
fn series_that_c_has_left_are_found_by_rust() {
    let _ = fs::remove_file(Path::new(env!("CARGO_TARGET_TMPDIR")).join("series.filz"));
    assert_eq!(run(&compile("series.c")), "2 series are in series.filz\n");
    let read = "quarters: [0.0, 0.25, 0.5, 0.75, 1.0]\nhalves: [0.0, 0.5, 1.0, 1.5]\n";
    assert_eq!(run(env!("CARGO_BIN_EXE_series")), read);
    assert_eq!(run(env!("CARGO_BIN_EXE_series")), read);
}

#[test]
fn workers_in_both_languages_read_what_builders_in_both_publish() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path_of = |name| here.join(name).to_str().expect("a path in UTF-8").to_owned();
    let (builder, worker) = (compile("index/builder.c"), compile("index/worker.c"));
    for (builder, worker) in [
        (env!("CARGO_BIN_EXE_index-builder"), env!("CARGO_BIN_EXE_index-worker")),
        (env!("CARGO_BIN_EXE_index-builder"), &worker),
        (&builder, env!("CARGO_BIN_EXE_index-worker")),
    ] {
        let output = run_with(&path_of("index/run"), &[builder, worker, &path_of("../README.md")]);
        assert!(output.starts_with("8 workers: ") && output.ends_with(" 0 wrong\n"), "{output}");
        print!("{output}");
    }
}

/// docs/guide/run compares what they print with the guide. The solutions check themselves.
#[test]
fn the_programs_of_the_guide_end_well() {
    for program in [
        env!("CARGO_BIN_EXE_guide-align"),
        env!("CARGO_BIN_EXE_guide-calls"),
        env!("CARGO_BIN_EXE_guide-layout"),
        env!("CARGO_BIN_EXE_guide-promise"),
        env!("CARGO_BIN_EXE_guide-solution-binding"),
        env!("CARGO_BIN_EXE_guide-solution-live"),
        env!("CARGO_BIN_EXE_guide-solution-own-heap"),
    ] {
        run(program);
    }
}
