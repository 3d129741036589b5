/* What follows from bench_alloc where nothing else is to be had. */

static inline void *bench_zeroed(size_t size, size_t align)
{
    void *block = bench_alloc(size, align);
    return block != NULL ? memset(block, 0, size) : NULL;
}

static inline void *bench_realloc(void *block, size_t size, size_t align, size_t new_size)
{
    void *copy = bench_alloc(new_size, align);
    return copy != NULL && block != NULL ? memcpy(copy, block, size) : copy;
}

static inline void bench_free(void *block)
{
    (void)block;
}
