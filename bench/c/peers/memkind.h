/* memkind's PMEM kind: jemalloc over a file in a directory. */
#include <memkind.h>

BENCH_STATE memkind_t bench_kind;

static inline void bench_open(void)
{
    if (memkind_create_pmem(bench_directory(), 0, &bench_kind) != MEMKIND_SUCCESS)
        bench_fail("no PMEM kind");
}

static inline void *bench_alloc(size_t size, size_t align)
{
    (void)align;
    return memkind_malloc(bench_kind, size);
}

static inline void *bench_zeroed(size_t size, size_t align)
{
    (void)align;
    return memkind_calloc(bench_kind, 1, size);
}

static inline void *bench_realloc(void *block, size_t size, size_t align, size_t new_size)
{
    (void)size, (void)align;
    return memkind_realloc(bench_kind, block, new_size);
}

static inline void bench_free(void *block)
{
    memkind_free(bench_kind, block);
}

static inline bool bench_reset(void)
{
    return false;
}

static inline size_t bench_used(void)
{
    return 0;
}
