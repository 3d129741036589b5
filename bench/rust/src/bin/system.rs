#[global_allocator]
static HEAP: std::alloc::System = std::alloc::System;

fn main() {
    filz_bench::main();
}
