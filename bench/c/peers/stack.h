/* filz's stack allocator. */
#include <filz/stack.h>

BENCH_STATE filz_stack *bench_stack;

static inline void bench_open(void)
{
    size_t bytes = (size_t)32 << 30;
    bench_stack = filz_stack_init(bench_region(bytes), bytes);
}

static inline void *bench_alloc(size_t size, size_t align)
{
    return filz_stack_alloc(bench_stack, size, align);
}

static inline void *bench_zeroed(size_t size, size_t align)
{
    return filz_stack_alloc_zeroed(bench_stack, size, align);
}

static inline void *bench_realloc(void *block, size_t size, size_t align, size_t new_size)
{
    return filz_stack_realloc(bench_stack, block, size, align, new_size);
}

static inline void bench_free(void *block)
{
    filz_stack_dealloc(bench_stack, block, 0, 1);
}

static inline bool bench_reset(void)
{
    filz_stack_reset(bench_stack);
    return true;
}

static inline size_t bench_used(void)
{
    return filz_stack_mark(bench_stack);
}
