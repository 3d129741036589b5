/* No allocator: the compare-and-swap loop that a bump allocator shared by threads can't do without, and nothing else:
 * no alignment, and no end to the memory. */
BENCH_STATE char *bench_memory;
BENCH_STATE size_t bench_taken;

static inline void bench_open(void)
{
    bench_memory = bench_region((size_t)32 << 30);
}

static inline void *bench_alloc(size_t size, size_t align)
{
    (void)align;
    size_t taken = __atomic_load_n(&bench_taken, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&bench_taken, &taken, taken + size, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    return bench_memory + taken;
}

#include "arena.h"

static inline bool bench_reset(void)
{
    bench_taken = 0;
    return true;
}

static inline size_t bench_used(void)
{
    return bench_taken;
}
