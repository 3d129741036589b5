//! A linked list on its own heap. No node is freed: `reset` ends them all at once, and the compiler makes sure that
//! none is used afterwards.

use filz::mmap::MAlloc;
use filz::Arena;

struct Node<'a> {
    value: u64,
    next: Option<&'a Node<'a>>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut heap = MAlloc::new();
    for round in 1..=3 {
        let mut head = None;
        for value in 1..=100_000 {
            head = Some(&*heap.try_alloc(Node { value, next: head })?);
        }

        let mut sum = 0;
        while let Some(node) = head {
            sum += node.value;
            head = node.next;
        }
        println!("round {round}: sum {sum}, {} nodes", heap.stats()?.blocks);
        heap.reset()?;
    }
    Ok(())
}
