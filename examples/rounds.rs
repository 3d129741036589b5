//! A simulation, each frame of which allocates in an arena, and frees everything at once.
//!
//! ```sh
//! cargo run --bin rounds -- FRAMES
//! ```
//!
//! Balls fly in a box. Each frame sorts them into a grid to find those that touch. The balls live on from frame to
//! frame, on the program's own heap. The grid doesn't: it is in the arena, and `reset` ends it.

#![forbid(unsafe_code)]

use filz::mmap::MAlloc;
use filz::{AllocError, Arena};
use std::error::Error;

const SIDE: i32 = 64; // of the box, in cells
const CELL: i32 = 16; // the side of a cell

struct Ball {
    place: [i32; 2],
    speed: [i32; 2],
}

/// A ball in a cell, and the others there.
struct Near<'a> {
    ball: &'a Ball,
    next: Option<&'a Near<'a>>,
}

impl Ball {
    fn moves(&mut self) {
        for (place, speed) in self.place.iter_mut().zip(&mut self.speed) {
            if !(0..SIDE * CELL).contains(&(*place + *speed)) {
                *speed = -*speed;
            }
            *place += *speed;
        }
    }

    fn touches(&self, other: &Ball) -> bool {
        let [x, y] = [0, 1].map(|axis| self.place[axis] - other.place[axis]);
        x * x + y * y < 100
    }

    fn cell(&self) -> usize {
        (self.place[1] / CELL * SIDE + self.place[0] / CELL) as usize
    }
}

/// Counts the pairs of balls in one cell that touch. Allocates only in the arena.
fn pairs(arena: &MAlloc, balls: &[Ball]) -> Result<usize, AllocError> {
    let cells = arena.try_alloc_slice_fill_copy((SIDE * SIDE) as usize, None)?;
    let mut pairs = 0;
    for ball in balls {
        let cell: &mut Option<&Near> = &mut cells[ball.cell()];
        let mut others = *cell;
        while let Some(other) = others {
            pairs += usize::from(other.ball.touches(ball));
            others = other.next;
        }
        *cell = Some(arena.try_alloc(Near { ball, next: *cell })?);
    }
    Ok(pairs)
}

fn main() -> Result<(), Box<dyn Error>> {
    let frames: u32 = std::env::args().nth(1).ok_or("usage: rounds FRAMES")?.parse()?;
    let ball = |i| Ball { place: [i * 37 % (SIDE * CELL), i * 91 % (SIDE * CELL)], speed: [i % 7 - 3, i % 5 - 2] };
    let mut balls: Vec<Ball> = (0..1000).map(ball).collect();

    let mut arena = MAlloc::new();
    for frame in 1..=frames {
        balls.iter_mut().for_each(Ball::moves);
        let pairs = pairs(&arena, &balls)?;
        let heap = arena.stats()?;
        println!("frame {frame}: {pairs} pairs, {} bytes used of {}", heap.used, heap.committed);
        arena.reset()?;
    }
    Ok(())
}
