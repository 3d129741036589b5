/* A heap with hooks of its own, for the tests of each function. */
#ifndef FILZ_TESTS_HOOK_HEAP_H
#define FILZ_TESTS_HOOK_HEAP_H

#include "threads.h"

#include <filz/hooks.h>

static filz_mmap heap;
FILZ_HOOKS(hook, &heap)

enum { CAPACITY = 64 << 20 };

static int open_heap(void **state)
{
    (void)state;
    heap = (filz_mmap){.capacity = CAPACITY};
    return filz_mmap_open(&heap);
}

static int close_heap(void **state)
{
    (void)state;
    return filz_mmap_close(&heap);
}

#define ON_HEAP(test) cmocka_unit_test_setup_teardown(test, open_heap, close_heap)

static size_t used(void)
{
    return stats_of(&heap).used;
}

/* All that can be told of a block of `size` bytes: and every byte that it has is written. */
static void check_block(void *block, size_t size)
{
    assert_non_null(block);
    assert_true(is_aligned(block, 16));
    assert_true(filz_mmap_owns(&heap, block));
    assert_true(hook_usable_size(block) >= size);
    assert_int_equal(hook_usable_size(block), hook_good_size(size));
    memset(block, 0xff, hook_usable_size(block));
}

#endif
