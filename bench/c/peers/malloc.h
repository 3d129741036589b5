/* malloc: glibc's, or that of the library that is linked before it. `align` is what malloc promises anyway. */

static inline void bench_open(void)
{
}

static inline void *bench_alloc(size_t size, size_t align)
{
    (void)align;
    return malloc(size);
}

static inline void *bench_zeroed(size_t size, size_t align)
{
    (void)align;
    return calloc(1, size);
}

static inline void *bench_realloc(void *block, size_t size, size_t align, size_t new_size)
{
    (void)size, (void)align;
    return realloc(block, new_size);
}

static inline void bench_free(void *block)
{
    free(block);
}

static inline bool bench_reset(void)
{
    return false;
}

static inline size_t bench_used(void)
{
    return 0;
}
