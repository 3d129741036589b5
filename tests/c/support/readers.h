/* What the tests of readers and of private copies share: a heap with a list, and a look at all of it. */
#ifndef FILZ_TESTS_READERS_H
#define FILZ_TESTS_READERS_H

#include "persistent.h"

enum { NODES = 300, NODE = 200 };

#define PATH "heap.filz"

MAYBE_UNUSED static void add_nodes(filz_mmap *heap, size_t count)
{
    struct lists *lists = lists_of(heap);
    assert_non_null(lists);
    for (size_t i = 0; i < count; i++)
        assert_true(add_node(heap, lists, 0, NODE) != 0);
}

MAYBE_UNUSED static void make_heap(const char *path)
{
    filz_mmap heap = persistent_at(path);
    add_nodes(&heap, NODES);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* Opens the heap, unless it is open. */
MAYBE_UNUSED static int reads_all(filz_mmap *heap, int64_t nodes)
{
    filz_mmap_info info;
    EXPECT(filz_mmap_open(heap) == 0);
    struct lists *lists = filz_mmap_root(heap);
    EXPECT(lists != NULL && walk_list(heap, lists, 0) == nodes);
    EXPECT(filz_mmap_stats(heap, &info) == 0);
    EXPECT(info.blocks == (size_t)nodes + 1 && info.used <= info.in_chunks && info.in_chunks <= info.committed);
    return 0;
}

#endif
