//! An index of words, kept in the file kept-index.filz from run to run. A run adds a text to it, or only looks words
//! up.
//!
//! ```sh
//! cargo run --bin kept-index -- add TEXT
//! cargo run --bin kept-index -- find WORD...
//! ```
//!
//! Values in the heap never change. A run that adds a text makes a new root, which shares unchanged parts with the old
//! one.

#![deny(unsafe_code)]

use filz::persistent::{Heap, Map, Slice, Str};
use std::collections::BTreeMap;
use std::error::Error;
use std::{env, fs};

filz::persistent! {
    heap Kept: Index = "kept-index.filz";

    #[derive(Clone, Copy, Default)]
    struct Index {
        texts: Slice<Str<Kept>, Kept>,
        words: Map<Str<Kept>, Slice<Place, Kept>, Kept>,
    }

    #[derive(Clone, Copy, PartialEq)]
    struct Place {
        text: u32,
        line: u32,
    }
}

fn add(path: &str) -> Result<(), Box<dyn Error>> {
    let content = fs::read_to_string(path)?.to_lowercase();
    let old = Kept::open()?.map(|index| *index).unwrap_or_default();
    let text = old.texts.len() as u32;

    let mut places: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
    for (line, content) in (1..).zip(content.lines()) {
        for word in content.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let places = places.entry(word).or_default();
            if places.last() != Some(&Place { text, line }) {
                places.push(Place { text, line });
            }
        }
    }

    let mut words: BTreeMap<_, _> = old.words.iter().map(|(&word, &places)| (word, places)).collect();
    for (word, new) in places {
        match words.get_mut(word) {
            Some(places) => *places = Slice::new(places.iter().copied().chain(new))?,
            None => drop(words.insert(Str::new(word)?, Slice::new(new)?)),
        }
    }
    let texts = Slice::new(old.texts.iter().copied().chain([Str::new(path)?]))?;
    let index = Kept::set_root(Index { texts, words: Map::new(words)? })?;
    println!("{} words in {} texts", index.words.len(), index.texts.len());
    Ok(())
}

fn find(words: &[String]) -> Result<(), Box<dyn Error>> {
    let index = Kept::open_read_only()?.ok_or("there is no index")?;
    for word in words {
        let places = index.words.get(word.to_lowercase().as_str()).copied().unwrap_or_default();
        print!("{word}:");
        places.iter().for_each(|place| print!(" {}:{}", index.texts[place.text as usize], place.line));
        println!();
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &arguments[..] {
        [command, path] if command == "add" => add(path),
        [command, words @ ..] if command == "find" => find(words),
        _ => Err("kept-index add TEXT, or kept-index find WORD...".into()),
    }
}
