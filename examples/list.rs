//! A linked list on a heap of its own. No node is freed: `reset` ends them all at once, and the compiler makes sure that
//! none is used afterwards.

use allocator_api2::boxed::Box;
use filz::mmap::MAlloc;

struct Node<'a> {
    value: u64,
    next: Option<&'a Node<'a>>,
}

fn push<'a>(heap: &'a MAlloc, next: Option<&'a Node<'a>>, value: u64) -> &'a Node<'a> {
    Box::leak(Box::new_in(Node { value, next }, heap))
}

fn main() {
    let mut heap = MAlloc::new();
    for round in 1..=3 {
        let mut head = None;
        for value in 1..=100_000 {
            head = Some(push(&heap, head, value));
        }

        let mut sum = 0;
        while let Some(node) = head {
            sum += node.value;
            head = node.next;
        }
        println!("round {round}: sum {sum}, {} nodes", heap.stats().map_or(0, |stats| stats.blocks));
        heap.reset().expect("a heap that was never synced");
    }
}
