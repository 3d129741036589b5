/* filz's mmap allocator, all defaults: the heap file goes where FILZ_DIR says. */
#include <filz/mmap.h>

BENCH_STATE filz_mmap bench_heap;

static inline void bench_open(void)
{
}

static inline void *bench_alloc(size_t size, size_t align)
{
    return filz_mmap_alloc(&bench_heap, size, align);
}

static inline void *bench_zeroed(size_t size, size_t align)
{
    return filz_mmap_alloc_zeroed(&bench_heap, size, align);
}

static inline void *bench_realloc(void *block, size_t size, size_t align, size_t new_size)
{
    return filz_mmap_realloc(&bench_heap, block, size, align, new_size);
}

static inline void bench_free(void *block)
{
    filz_mmap_dealloc(&bench_heap, block, 0, 1);
}

static inline bool bench_reset(void)
{
    return filz_mmap_reset(&bench_heap) == 0;
}

static inline size_t bench_used(void)
{
    filz_mmap_info info;
    return filz_mmap_stats(&bench_heap, &info) == 0 ? info.used : 0;
}
