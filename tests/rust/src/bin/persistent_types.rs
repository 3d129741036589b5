//! One run of a program on persistent types, in the working directory, without `unsafe`: see tests/persistent_types.rs.

#![deny(unsafe_code)]

use filz::persistent::{Error, Heap, Map, Ref, Slice, Str};
use std::collections::BTreeMap;
use std::io::Write;
use std::{env, io, iter, thread};

filz::persistent! {
    /// An index of words.
    heap Words: Index = "words.filz";

    #[derive(Debug)]
    struct Index {
        runs: u32,
        words: Map<Str<Words>, Slice<Place, Words>, Words>,
        nothing: Map<u32, Slice<u32, Words>, Words>,
        before: Option<Ref<Index, Words>>,
    }

    #[derive(Debug)]
    struct Place {
        run: u32,
        kind: Kind,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Kind {
        First,
        Again,
    }
}

/// The same file, for a program of other types.
mod other {
    use filz::persistent::{Map, Slice, Str};

    filz::persistent! {
        pub heap Words: Index = "words.filz";

        pub struct Index {
            pub runs: i32,
            pub words: Map<Str<Words>, Slice<u32, Words>, Words>,
        }
    }
}

filz::persistent! {
    heap Chain: Link = "chain.filz";

    struct Link {
        number: u64,
        text: Str<Chain>,
        factors: Slice<u64, Chain>,
        before: Option<Ref<Link, Chain>>,
    }
}

fn summary(index: &Index) -> String {
    let words = index.words.iter().map(|(word, places)| {
        let places = places.iter().map(|place| match place.kind {
            Kind::First => format!(" {}!", place.run),
            Kind::Again => format!(" {}", place.run),
        });
        format!("; {word}{}", places.collect::<String>())
    });
    assert!(index.nothing.is_empty());
    format!("{} runs{}", index.runs, words.collect::<String>())
}

/// What a run keeps of the one before is shared with it, not copied; what is new for a word is a new slice.
fn extend(text: &[String]) -> Result<Ref<Index, Words>, Error> {
    let before = Words::open()?;
    let run = before.map_or(1, |index| index.runs + 1);
    let mut words: BTreeMap<Str<Words>, Slice<Place, Words>> = BTreeMap::new();
    if let Some(before) = before {
        words.extend(before.words.iter().map(|(word, places)| (*word, *places)));
    }
    for text in text {
        let (word, places) = match words.get_key_value(text.as_str()) {
            Some((word, places)) => (*word, *places),
            None => (Str::new(text)?, Slice::EMPTY),
        };
        let kind = if places.is_empty() { Kind::First } else { Kind::Again };
        let old: Vec<Place> = places.iter().map(|place| Place { ..*place }).collect();
        let new: Vec<Place> = old.into_iter().chain(iter::once(Place { run, kind })).collect();
        words.insert(word, Slice::new(new)?);
    }
    Words::set_root(Index { runs: run, words: Map::new(words)?, nothing: Map::EMPTY, before })
}

fn find(index: Ref<Index, Words>, words: &[String]) {
    thread::scope(|scope| {
        for word in words {
            scope
                .spawn(move || println!("{word}: {}", index.words.get(word.as_str()).map_or(0, |places| places.len())));
        }
    });
}

fn factors(number: u64) -> impl Iterator<Item = u64> {
    (1..=number.min(50)).filter(move |factor| number % factor == 0)
}

/// Until it is killed.
fn grow() -> Result<(), Error> {
    let mut last = Chain::open()?;
    loop {
        let number = last.map_or(1, |link| link.number + 1);
        let text = Str::new(&format!("link {number}"))?;
        let factors = Slice::new(factors(number).collect::<Vec<_>>())?;
        last = Some(Chain::set_root(Link { number, text, factors, before: last })?);
        let mut output = io::stdout().lock();
        if writeln!(output, "{number}").and_then(|()| output.flush()).is_err() {
            return Ok(());
        }
    }
}

/// How many links there are; each of them is as `grow` made it.
fn check() -> Result<u64, Error> {
    let last = Chain::open()?;
    let links = iter::successors(last, |link| link.before);
    let count = last.map_or(0, |link| link.number);
    for (link, number) in links.zip((0..=count).rev()) {
        assert_eq!((link.number, &*link.text), (number, format!("link {number}").as_str()));
        assert!(link.factors.iter().copied().eq(factors(number)));
        assert_eq!(link.before.is_none(), number == 1);
    }
    Ok(count)
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (what, words) = arguments.split_first().expect("what to do");
    match what.as_str() {
        "extend" => println!("{}", summary(&*extend(words)?)),
        "find" => find(Words::open()?.expect("an index"), words),
        "read" => {
            let index = Words::open_read_only()?.expect("an index");
            assert_eq!(index.before.map(|index| index.runs), index.runs.checked_sub(1).filter(|&runs| runs > 0));
            assert_eq!(Str::<Words>::new("blue").unwrap_err(), Error::ReadOnly);
            assert_eq!(Words::open().unwrap_err(), Error::ReadOnly);
            assert_eq!(Words::sync().unwrap_err(), Error::ReadOnly);
            println!("{}", summary(&index));
            io::stdin().read_line(&mut String::new()).expect("a line, or the end");
        }
        "elsewhere" => {
            let [path, words @ ..] = words else { panic!("a path") };
            assert_eq!(
                Words::open_read_only_at("nowhere/words.filz").map(|_| ()),
                Words::open_at("nowhere/words.filz").map(|_| ())
            );
            assert_eq!(Words::open_at(path)?.map(|index| index.runs), None);
            let index = extend(words)?;
            assert_eq!(Words::open()?.map(|index| index.runs), Some(index.runs));
            assert_eq!(Words::open_at(path).map(|_| ()), Err(Error::Open));
            assert_eq!(Words::open_read_only_at(path).map(|_| ()), Err(Error::Open));
            assert!(index.words.keys().copied().map(Str::to_static).eq(["fish", "red"]));
            assert_eq!(index.words.values().map(|places| places.len()).sum::<usize>(), 2);
            for place in &index.words["red"] {
                println!("{place:?}");
            }
        }
        "read-elsewhere" => println!("{}", summary(&Words::open_read_only_at(&words[0])?.expect("an index"))),
        "open" => println!("{}", Words::open().expect_err("a reader")),
        "other" => println!("{}", other::Words::open().map(|_| ()).unwrap_err()),
        "other-read" => println!("{}", other::Words::open_read_only().map(|_| ()).unwrap_err()),
        "fill" => {
            let before = Words::open()?.map(|index| index.runs);
            let too_large = Slice::<u64, Words>::new(iter::repeat(7).take(1 << 20).collect::<Vec<_>>());
            println!("{}", too_large.expect_err("more than the capacity"));
            assert_eq!(Words::open()?.map(|index| index.runs), before);
            Words::sync()?;
        }
        "leave" => {
            Words::open()?;
            Slice::<u64, Words>::new(iter::repeat(u64::from_ne_bytes(*b"pattern!")).take(1 << 18).collect::<Vec<_>>())?;
        }
        "grow" => grow()?,
        "check" => println!("{}", check()?),
        _ => {
            panic!("extend, find, read, elsewhere, read-elsewhere, open, other, other-read, fill, leave, grow or check")
        }
    }
    Ok(())
}
