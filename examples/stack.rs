//! A heap that is a fixed buffer, besides the program's own: a function that needs memory for a while takes a mark, and
//! rewinds to it.

use allocator_api2::vec::Vec;
use filz::stack::StackAllocator;

static SCRATCH: StackAllocator<4096> = StackAllocator::new();

/// Prints the words of `text` from the last to the first.
fn print_backwards(text: &str) {
    let mark = SCRATCH.mark();
    let mut words = Vec::new_in(&SCRATCH);
    words.extend(text.split(' ').rev());
    for (i, word) in words.iter().enumerate() {
        print!("{}{word}", if i > 0 { " " } else { "" });
    }
    println!();
    drop(words);
    // SAFETY: the words are gone, and no other thread uses SCRATCH.
    unsafe { SCRATCH.rewind(mark) };
}

fn main() {
    print_backwards("first is last the");
    print_backwards("back goes rewind and place the is mark a");
    println!("{} bytes used", SCRATCH.stats().used);
}
