/* What the tests of shared heaps have in common: a shared writer in this process. */
#ifndef FILZ_TESTS_SHARED_H
#define FILZ_TESTS_SHARED_H

#include "persistent.h"
#include "threads.h"

enum { NODE = 200, SMALL = 100 };

#define PATH "shared.filz"
#define NEED_SECOND_LOCK NEED_LINUX("lock for a writer beside readers")

static filz_mmap shared_at(const char *path)
{
    return (filz_mmap){.path = path, .capacity = 16 * MIB, .flags = FILZ_MMAP_SHARED, .tag = TAG};
}

/* The heap of this process, which a child has to close before it opens another one at the same address. */
static filz_mmap heap;

static void add_nodes(size_t count)
{
    struct lists *lists = lists_of(&heap);
    assert_non_null(lists);
    for (size_t i = 0; i < count; i++)
        assert_true(add_node(&heap, lists, 0, NODE) != 0);
}

static void *allocate_a_node(void *of)
{
    return filz_mmap_alloc(of, NODE, 8);
}

static int begin_shared_heap(void **state)
{
    if (enter_fresh_directory(state) != 0)
        return -1;
    heap = shared_at(PATH);
    if (!ON_POSIX)
        add_nodes(SMALL);
    return 0;
}

static int end_shared_heap(void **state)
{
    return filz_mmap_close(&heap) || leave_fresh_directory(state);
}

#define WITH_SHARED_HEAP(test) cmocka_unit_test_setup_teardown(test, begin_shared_heap, end_shared_heap)

#endif
