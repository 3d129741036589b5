//! Counts the words of a text, and shows the heap that this took.
//!
//! `cargo run --release -- FILE`, or without FILE for a poem; `--features stack` puts the heap into a fixed buffer.

use std::collections::{HashMap, TryReserveError};
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::{env, fmt, str, thread};

#[cfg(all(unix, not(feature = "stack")))]
#[global_allocator]
static ALLOCATOR: filz::mmap::MAlloc = filz::mmap::MAlloc::new();

#[cfg(any(feature = "stack", not(unix)))]
#[global_allocator]
static ALLOCATOR: filz::stack::StackAllocator<{ 16 << 20 }> = filz::stack::StackAllocator::new();

const THREADS: usize = 4;

/// What the text must leave of the heap: the threads and the output need some too.
const SPARE: usize = 128 << 10;

type Counts = HashMap<String, u64>;

fn main() -> ExitCode {
    let path = env::args_os().nth(1);
    let outcome = match &path {
        None => report(include_str!("raven.txt")),
        Some(path) => {
            File::open(path).map_err(Trouble::from).and_then(read).and_then(|bytes| report(str::from_utf8(&bytes)?))
        }
    };
    if let Err(Trouble::Output(error)) = outcome {
        eprintln!("demo: standard output: {error}");
        return ExitCode::FAILURE;
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            let text = path.as_ref().map_or("the poem".into(), |path| path.to_string_lossy());
            eprintln!("demo: {text}: {trouble}");
            ExitCode::FAILURE
        }
    }
}

// Everything that grows with the text is asked for with `try_reserve`, which says so when it can't be had.
fn read(mut file: File) -> Result<Vec<u8>, Trouble> {
    let mut text = Vec::new();
    let size = file.metadata()?.len();
    text.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))?;
    let mut piece = [0; 1 << 16];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            break;
        }
        text.try_reserve(count)?;
        text.extend_from_slice(&piece[..count]);
    }
    text.try_reserve_exact(SPARE)?;
    text.shrink_to_fit(); // the newest block: its end goes back to the heap
    Ok(text)
}

fn report(text: &str) -> Result<(), Trouble> {
    let counts = thread::scope(|scope| {
        let threads = split(text).map(|part| scope.spawn(move || count(part)));
        threads.map(|thread| thread.join().expect("a thread that doesn't panic"))
    });
    let mut total = Counts::new();
    for part in counts {
        for (word, count) in part? {
            total.try_reserve(1)?;
            *total.entry(word).or_default() += count;
        }
    }

    let mut words = Vec::new();
    words.try_reserve_exact(total.len())?;
    words.extend(&total);
    words.sort_unstable_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));

    print(&words).map_err(Trouble::Output)
}

fn print(words: &[(&String, &u64)]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{} words, {} different. The most frequent:", words.iter().map(|x| x.1).sum::<u64>(), words.len())?;
    for (word, count) in words.iter().take(10) {
        writeln!(out, "{count:>9} {word}")?;
    }
    show_heap(&mut out)
}

/// Cuts the text into parts of about the same length, between words.
fn split(mut text: &str) -> [&str; THREADS] {
    let mut parts = [""; THREADS];
    for (i, part) in parts.iter_mut().enumerate() {
        let length = text.len() / (THREADS - i);
        let end = text.bytes().skip(length).position(|byte| byte.is_ascii_whitespace());
        let (first, rest) = text.split_at(end.map_or(text.len(), |end| length + end));
        *part = first;
        text = rest;
    }
    parts
}

fn count(text: &str) -> Result<Counts, TryReserveError> {
    let is_apostrophe = |c| c == '\'' || c == '’';
    let mut counts = Counts::new();
    let mut lower = String::new();
    for word in text.split(|c: char| !c.is_alphabetic() && !is_apostrophe(c)) {
        let word = word.trim_matches(is_apostrophe);
        if word.is_empty() {
            continue;
        }
        lower.clear();
        lower.try_reserve(3 * word.len())?; // a letter's lower case may be longer than the letter
        lower.extend(word.chars().flat_map(char::to_lowercase));
        if let Some(count) = counts.get_mut(&lower) {
            *count += 1;
        } else {
            let mut word = String::new();
            word.try_reserve_exact(lower.len())?;
            word.push_str(&lower);
            counts.try_reserve(1)?;
            counts.insert(word, 1);
        }
    }
    Ok(counts)
}

#[cfg(any(feature = "stack", not(unix)))]
fn show_heap(out: &mut impl Write) -> io::Result<()> {
    let heap = ALLOCATOR.stats();
    writeln!(out, "The heap: {} bytes used of {}, in a buffer", heap.used, heap.capacity)
}

#[cfg(all(unix, not(feature = "stack")))]
fn show_heap(out: &mut impl Write) -> io::Result<()> {
    let heap = ALLOCATOR.stats().expect("a heap that has been allocated from");
    let path = heap.path.map_or("an unnamed file".into(), String::from_utf8_lossy);
    writeln!(out, "The heap: {path}")?;
    writeln!(out, "  {} bytes used, {} blocks, {} threads", heap.used, heap.blocks, heap.threads)?;
    write!(out, "  ")?;
    let count = heap.committed / heap.page_size;
    let columns = count.min(64);
    let symbols = if prints_utf8() { ['░', '▒', '▓', '█'] } else { ['.', '-', '+', '#'] };
    for column in 0..columns {
        write!(out, "{}", symbols[state(column * count / columns, (column + 1) * count / columns)])?;
    }
    let [free, tail, absent, used] = symbols;
    writeln!(
        out,
        "\n  {used} used  {absent} used, not in RAM  {tail} tail of a chunk  {free} free; {} KiB each",
        heap.committed / columns / 1024
    )
}

/// Whether the terminal shows UTF-8, as its variables say.
#[cfg(all(unix, not(feature = "stack")))]
fn prints_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| env::var(name).ok().filter(|it| !it.is_empty()));
    locale.is_some_and(|it| ["utf-8", "utf8"].iter().any(|code| it.to_lowercase().contains(code)))
}

/// The state of the pages from `first` up to `end` that says most: 0 free, 1 tail, 2 used, 3 used and in RAM.
#[cfg(all(unix, not(feature = "stack")))]
fn state(mut first: usize, end: usize) -> usize {
    use filz::mmap::{Page, PageKind};

    let mut best = 0;
    let mut pages = [Page::default(); 256];
    while first < end {
        let wanted = pages.len().min(end - first);
        let pages = ALLOCATOR.pages(first, &mut pages[..wanted]).unwrap_or_default();
        if pages.is_empty() {
            break;
        }
        for page in pages {
            best = best.max(match page.kind() {
                PageKind::Free => 0,
                PageKind::Tail => 1,
                PageKind::Used => 2 + usize::from(page.in_ram()),
            });
        }
        first += pages.len();
    }
    best
}

enum Trouble {
    Full,
    Io(io::Error),
    Output(io::Error),
    NotText(usize),
}

impl From<TryReserveError> for Trouble {
    fn from(_: TryReserveError) -> Self {
        Trouble::Full
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error)
    }
}

impl From<str::Utf8Error> for Trouble {
    fn from(error: str::Utf8Error) -> Self {
        Trouble::NotText(error.valid_up_to())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Full => write!(f, "the text doesn't fit into the heap"),
            Trouble::Io(error) | Trouble::Output(error) => write!(f, "{error}"),
            Trouble::NotText(byte) => write!(f, "not UTF-8 text, at byte {byte}"),
        }
    }
}
