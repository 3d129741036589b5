//! Interrupts that allocate from the buffer that the main program allocates from.

use core::cell::UnsafeCell;

use crate::bare_metal::timer;
use crate::checks::{check_all, Block};
use crate::{say, ALLOCATOR};

/// In round `n` the interrupt comes `n` ticks after the timer was started. A tick is one or two instructions, since
/// tests/run has the machine's time follow the instructions that it runs.
const ROUNDS: u32 = 8000;

/// In the end the interrupts come when the main program has allocated all of its blocks.
const BLOCKS: usize = 12;

static HAS_COME: Shared<bool> = Shared(UnsafeCell::new(false));
static ITS_BLOCK: Shared<Option<Block>> = Shared(UnsafeCell::new(None));

struct Shared<T>(UnsafeCell<T>);

// SAFETY: there is one core, HAS_COME is one byte, and the main program reads ITS_BLOCK only when that is set.
unsafe impl<T> Sync for Shared<T> {}

impl<T: Copy> Shared<T> {
    fn set(&self, value: T) {
        // SAFETY: the pointer is the cell's.
        unsafe { self.0.get().write_volatile(value) };
    }

    fn get(&self) -> T {
        // SAFETY: the pointer is the cell's.
        unsafe { self.0.get().read_volatile() }
    }
}

/// What bare_metal calls when the time has come; it comes once for each start.
pub fn timer_interrupt() {
    let mut block = Block::new(5, 1, 0xee);
    block.double();
    ITS_BLOCK.set(Some(block));
    HAS_COME.set(true);
}

pub fn allocate_between_any_two_instructions() {
    let mut amid = 0;
    for delay in 1..=ROUNDS {
        let mark = ALLOCATOR.mark();
        amid += u32::from(round(delay));
        // SAFETY: the blocks of this round have ended, and there is no interrupt before the next.
        unsafe { ALLOCATOR.rewind(mark) };
    }
    say!("{ROUNDS} interrupts have allocated, {amid} of them while the main program did\n");
    assert!(amid > ROUNDS / 8 && amid < ROUNDS, "the interrupts don't come when they should");
}

/// Says whether the interrupt has come before the main program's last block.
fn round(delay: u32) -> bool {
    let mut blocks = [Block::new(1, 1, 0xff); BLOCKS + 1];
    HAS_COME.set(false);
    timer::start(delay);
    for (number, block) in blocks[..BLOCKS].iter_mut().enumerate() {
        *block = Block::new(1 + number % 5, 1, number as u8);
        block.double();
    }
    let amid = HAS_COME.get();
    while !HAS_COME.get() {}
    blocks[BLOCKS] = ITS_BLOCK.get().expect("the interrupt has left its block");
    check_all(&mut blocks);
    amid
}
