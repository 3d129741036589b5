use filz::stack::StackAllocator;

#[global_allocator]
static ALLOCATOR: StackAllocator<4096> = StackAllocator::new();

fn main() {
    let words: Vec<String> = "kept in a buffer".split(' ').map(String::from).collect();
    assert!(ALLOCATOR.owns(words.as_ptr()));
    println!("{}", words.join(" "));
}
