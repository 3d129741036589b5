/* Boost.Interprocess, managed_mapped_file; see boost.cpp. */
void boost_open(const char *directory);
void *boost_alloc(size_t size);
void *boost_realloc(void *block, size_t size, size_t new_size);
void boost_free(void *block);
size_t boost_used(void);

static inline void bench_open(void)
{
    boost_open(bench_directory());
}

static inline void *bench_alloc(size_t size, size_t align)
{
    (void)align; /* always 16 */
    return boost_alloc(size);
}

/* It has no call for a zeroed block. */
static inline void *bench_zeroed(size_t size, size_t align)
{
    void *block = bench_alloc(size, align);
    return block != NULL ? memset(block, 0, size) : NULL;
}

static inline void *bench_realloc(void *block, size_t size, size_t align, size_t new_size)
{
    (void)align;
    return boost_realloc(block, size, new_size);
}

static inline void bench_free(void *block)
{
    boost_free(block);
}

static inline bool bench_reset(void)
{
    return false;
}

static inline size_t bench_used(void)
{
    return boost_used();
}
