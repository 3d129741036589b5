use filz::mmap::MAlloc;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new();

fn main() {
    let words: Vec<String> = "kept in a file".split(' ').map(String::from).collect();
    assert!(ALLOCATOR.owns(words.as_ptr()));
    println!("{}", words.join(" "));
}
