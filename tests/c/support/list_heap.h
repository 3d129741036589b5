/* A persistent heap with one list in it, which the next run of its program opens. */
#ifndef FILZ_TESTS_LIST_HEAP_H
#define FILZ_TESTS_LIST_HEAP_H

#include "persistent.h"

#define PATH "persistent.filz"

/* Makes a heap with `count` nodes in its first list, and closes it. */
MAYBE_UNUSED static void make_heap(size_t count)
{
    filz_mmap heap = persistent_at(PATH);
    struct lists *lists = lists_of(&heap);
    assert_non_null(lists);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(add_node(&heap, lists, 0, 100 + i % 50), i + 1);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* Opens it, as the next run of its program does. */
MAYBE_UNUSED static filz_mmap open_again(void)
{
    filz_mmap heap = persistent_at(PATH);
    assert_int_equal(filz_mmap_open(&heap), 0);
    return heap;
}

#endif
