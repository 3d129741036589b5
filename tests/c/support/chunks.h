/* For unit tests of c/chunk.c: each on a heap of its own, in which a thread is its active chunk. */
#ifndef CHUNKS_H
#define CHUNKS_H

#include "support.h"

#include "../../../c/chunk.h"

static filz_mmap settings;
static struct filz_heap *heap;
static struct fz_fresh_pages fresh_pages;

static int open_heap(void **state)
{
    (void)state;
    settings = (filz_mmap){.capacity = 64 * MIB};
    int error = filz_mmap_open(&settings);
    heap = settings.heap;
    fresh_pages = (struct fz_fresh_pages){.start = 0};
    return error;
}

static int close_heap(void **state)
{
    (void)state;
    return filz_mmap_close(&settings);
}

#define ON_A_HEAP(test) cmocka_unit_test_setup_teardown(test, open_heap, close_heap)

/* The chunk that a thread gets which has none and needs `size` bytes. */
static struct fz_chunk *chunk_for(size_t size)
{
    struct fz_chunk *active = NULL;
    assert_non_null(fz_chunk_alloc(heap, &active, size, 1, &fresh_pages));
    return active;
}

#endif
