//! The same, checked by the compiler: a block borrows the buffer, so nothing can end it while it is in use.

use std::mem;

/// The rest of a buffer.
struct Bump<'a> {
    rest: &'a mut [u8],
}

impl<'a> Bump<'a> {
    fn alloc(&mut self, size: usize) -> Option<&'a mut [u8]> {
        if size > self.rest.len() {
            return None;
        }
        let (block, rest) = mem::take(&mut self.rest).split_at_mut(size);
        self.rest = rest;
        Some(block)
    }
}

fn show(when: &str, buffer: &[u8]) {
    println!("{when:6}  {}", String::from_utf8_lossy(buffer));
}

/// Blocks of these sizes, each filled with a letter of its own.
fn fill(bump: &mut Bump, sizes: &[usize], owner: &mut u8) {
    for &size in sizes {
        match bump.alloc(size) {
            Some(block) => {
                block.fill(*owner);
                *owner += 1;
            }
            None => println!("{size} bytes don't fit into {}", bump.rest.len()),
        }
    }
}

fn main() {
    let mut owner = b'A';
    let mut buffer = [b'.'; 48];
    fill(&mut Bump { rest: &mut buffer }, &[12, 5, 20, 16, 1, 10, 1], &mut owner);
    show("filled", &buffer);
    fill(&mut Bump { rest: &mut buffer }, &[8], &mut owner);
    show("again", &buffer);
}
