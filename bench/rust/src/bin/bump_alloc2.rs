#[global_allocator]
static HEAP: bump_alloc2::BumpAlloc = bump_alloc2::BumpAlloc::with_size(4 << 30);

fn main() {
    filz_bench::main();
}
