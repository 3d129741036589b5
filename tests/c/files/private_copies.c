/* A private copy of a persistent heap: a process writes to it, and the file stays as it is. */
#include "readers.h"

static int writes_its_own(filz_mmap *copy)
{
    struct lists *lists = filz_mmap_root(copy);
    for (size_t i = 0; i < NODES; i++)
        EXPECT(add_node(copy, lists, 0, NODE) == NODES + i + 1);
    EXPECT(walk_list(copy, lists, 0) == 2 * NODES);
    char *large = filz_mmap_alloc_zeroed(copy, 8 * MIB, 1);
    EXPECT(large != NULL && is_filled(large, 0, 8 * MIB));
    memset(large, 'l', 8 * MIB);
    EXPECT(filz_mmap_set_root(copy, large) == 0 && filz_mmap_root(copy) == large);
    EXPECT(filz_mmap_sync(copy) == FILZ_EUNNAMED);
    return 0;
}

static int writes_its_own_in_a_child(void *copy)
{
    return writes_its_own(copy);
}

static void writes_to_a_private_copy_stay_its_own(void **state)
{
    (void)state;
    make_heap(PATH);
    struct snapshot before = snapshot_of(PATH);
    filz_mmap copy = private_of(PATH);
    copy.capacity = 32 * MIB;
    for (int run = 0; run < 2; run++) {
        assert_int_equal(reads_all(&copy, NODES), 0);
        assert_int_equal(in_child(writes_its_own_in_a_child, &copy), 0);
        assert_int_equal(walk_list(&copy, filz_mmap_root(&copy), 0), NODES);
        assert_int_equal(writes_its_own(&copy), 0);
        assert_int_equal(filz_mmap_reset(&copy), 0);
        assert_null(filz_mmap_root(&copy));
        assert_non_null(filz_mmap_alloc(&copy, MIB, 1));
        assert_int_equal(filz_mmap_close(&copy), 0);
    }
    assert_as_it_was(PATH, before);
}

/* Another thread had carved a chunk, and hadn't said so everywhere yet. */
static int forked_copy_is_whole(void *copy)
{
    filz_mmap_info info;
    EXPECT(filz_mmap_stats(copy, &info) == 0 && info.used <= info.in_chunks);
    char *block = filz_mmap_alloc_zeroed(copy, 2 * MIB, 1);
    EXPECT(block != NULL && is_filled(block, 0, 2 * MIB));
    return filz_mmap_close(copy);
}

static void a_child_has_a_whole_private_copy_whatever_other_threads_do(void **state)
{
    (void)state;
    make_heap(PATH);
    filz_mmap copy = private_of(PATH);
    assert_int_equal(reads_all(&copy, NODES), 0);
    struct filz_heap *heap = copy.heap;
    size_t page = heap->backing.page_size;
    do
        assert_non_null(filz_mmap_alloc(&copy, 40 * 1024, 1));
    while (heap->cursor + page > heap->backing.committed);
    fz_unpoison(fz_heap_cursor(heap), fz_heap_cursor(heap) + page);
    memset((char *)fz_heap_cursor(heap), 'c', page);
    heap->cursor += page;
    assert_int_equal(in_child(forked_copy_is_whole, &copy), 0);
    heap->cursor -= page;
    assert_int_equal(filz_mmap_close(&copy), 0);
}

static void a_private_copy_holds_no_more_than_its_capacity(void **state)
{
    (void)state;
    make_heap(PATH);
    filz_mmap copy = private_of(PATH);
    copy.capacity = 2 * (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(filz_mmap_open(&copy), FILZ_ETOOSMALL);
    copy.capacity = 4 * MIB;
    assert_int_equal(reads_all(&copy, NODES), 0);
    errno = 0;
    assert_null(filz_mmap_alloc(&copy, 4 * MIB, 1));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(filz_mmap_close(&copy), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(writes_to_a_private_copy_stay_its_own),
        IN_FRESH_DIRECTORY(a_child_has_a_whole_private_copy_whatever_other_threads_do),
        IN_FRESH_DIRECTORY(a_private_copy_holds_no_more_than_its_capacity),
    };
    return cmocka_run_group_tests_name("private_copies", tests, NULL, NULL);
}
