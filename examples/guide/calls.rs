//! What the compiler and the standard library ask of a global allocator: a line of Rust, and the calls that it makes.
//! The heap is a `StackAllocator`; blocks are named by their distance from the first one.

use std::alloc::{GlobalAlloc, Layout};
use std::arch::asm;
use std::sync::Mutex;

use filz::stack::StackAllocator;
use filz::Packed;

#[derive(Clone, Copy)]
enum Call {
    Line(&'static str),
    Alloc { zeroed: bool, layout: Layout, block: usize },
    Realloc { before: usize, layout: Layout, size: usize, block: usize },
    Dealloc { block: usize, layout: Layout },
}

/// A heap that logs its calls. The log is a fixed array, because it must not allocate.
struct Watched {
    heap: Packed<StackAllocator<65536>>,
    log: Mutex<Log>,
}

struct Log {
    on: bool,
    count: usize,
    calls: [Option<Call>; 64],
}

impl Watched {
    /// Nothing here may panic: no `unwrap`, no index that could be out of bounds.
    fn write_down(&self, call: Call) {
        let mut log = match self.log.lock() {
            Ok(log) => log,
            Err(_) => return,
        };
        let (on, count) = (log.on, log.count);
        if let (true, Some(place)) = (on, log.calls.get_mut(count)) {
            *place = Some(call);
            log.count += 1;
        }
    }

    fn switch(&self, on: bool) {
        if let Ok(mut log) = self.log.lock() {
            log.on = on;
        }
    }
}

// SAFETY: what the stack allocator promises, it promises through this; nothing in between unwinds.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = self.heap.alloc(layout);
        self.write_down(Call::Alloc { zeroed: false, layout, block: block as usize });
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let block = self.heap.alloc_zeroed(layout);
        self.write_down(Call::Alloc { zeroed: true, layout, block: block as usize });
        block
    }

    unsafe fn realloc(&self, before: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let block = self.heap.realloc(before, layout, size);
        self.write_down(Call::Realloc { before: before as usize, layout, size, block: block as usize });
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.write_down(Call::Dealloc { block: block as usize, layout });
        self.heap.dealloc(block, layout);
    }
}

#[global_allocator]
static HEAP: Watched =
    Watched { heap: Packed(StackAllocator::new()), log: Mutex::new(Log { on: false, count: 0, calls: [None; 64] }) };

/// Makes the compiler believe that `value` is read; else it may remove what nobody reads.
fn look_at<T>(value: &T) {
    // SAFETY: no instruction is in it, only a comment.
    unsafe { asm!("/* {} */", in(reg) value) };
}

/// Runs each line, and logs it before its calls.
macro_rules! watch {
    ($($line:stmt;)*) => {
        $(
            HEAP.write_down(Call::Line(stringify!($line)));
            $line
        )*
    };
}

fn lines() {
    watch! {
        let boxed = Box::new(7u32);
        look_at(&boxed);
        let nothing = Box::new(());
        look_at(&nothing);
        let mut numbers: Vec<u32> = Vec::new();
        numbers.push(1);
        look_at(&numbers);
        numbers.extend([2, 3, 4, 5]);
        look_at(&numbers);
        let name = String::from("filz");
        look_at(&name);
        numbers.extend([6, 7, 8, 9]);
        look_at(&numbers);
        numbers.shrink_to_fit();
        look_at(&numbers);
        let zeros = vec![0u32; 8];
        look_at(&zeros);
        let refused = numbers.try_reserve(1_000_000).is_err();
        look_at(&refused);
        drop(numbers);
    }
    HEAP.switch(false);
}

fn say(call: Call, first: usize) {
    let at = |block: usize| if block == 0 { "null".into() } else { (block - first).to_string() };
    match call {
        Call::Line(text) if text.starts_with("look_at") => {}
        Call::Line(text) => println!("{text}"),
        Call::Alloc { zeroed, layout, block } => {
            let name = if zeroed { "alloc_zeroed" } else { "alloc" };
            println!("    {name}(size {}, align {}) = {}", layout.size(), layout.align(), at(block));
        }
        Call::Realloc { before, layout, size, block } => {
            println!("    realloc({}, size {} to {}) = {}", at(before), layout.size(), size, at(block));
        }
        Call::Dealloc { block, layout } => println!("    dealloc({}, size {})", at(block), layout.size()),
    }
}

fn main() {
    HEAP.switch(true);
    lines();
    let calls = match HEAP.log.lock() {
        Ok(log) => log.calls,
        Err(_) => return,
    };
    let first_block = calls.iter().flatten().find_map(|call| match call {
        Call::Alloc { block, .. } => Some(*block),
        _ => None,
    });
    for call in calls.iter().flatten() {
        say(*call, first_block.unwrap_or(0));
    }
}
