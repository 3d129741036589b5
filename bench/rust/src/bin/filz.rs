#[global_allocator]
static HEAP: filz::mmap::MAlloc = filz::mmap::MAlloc::new();

fn main() {
    filz_bench::main();
}
