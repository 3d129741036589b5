/* Opening and closing a mapped heap: by filz_mmap_open or the first block, twice, again, and its handle moved. */
#include "support.h"

static void the_first_block_opens_the_heap(void **state)
{
    (void)state;
    setenv("FILZ_CAPACITY", "64M", 1); /* valgrind hasn't the address space for the default */
    filz_mmap heap = FILZ_MMAP_INIT;
    filz_mmap_info info;
    assert_int_equal(filz_mmap_stats(&heap, &info), FILZ_ECLOSED);
    errno = 77;
    char *block = filz_mmap_alloc(&heap, 100, 1);
    assert_non_null(block);
    assert_int_equal(errno, 77); /* though there is no memory/ */
    assert_int_equal(stats_of(&heap).blocks, 1);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void alloc_zeroed_and_realloc_open_the_heap_too(void **state)
{
    (void)state;
    filz_mmap a = {.capacity = MIB}, b = {.capacity = MIB};
    assert_non_null(filz_mmap_alloc_zeroed(&a, 100, 1));
    assert_non_null(filz_mmap_realloc(&b, NULL, 0, 1, 100));
    assert_int_equal(filz_mmap_close(&a), 0);
    assert_int_equal(filz_mmap_close(&b), 0);
}

static void opening_an_open_heap_changes_nothing(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    char *block = filz_mmap_alloc(&heap, 10, 1);
    memset(block, 'b', 10);
    heap.capacity = 2 * MIB;
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_true(is_filled(block, 'b', 10));
    assert_int_equal(stats_of(&heap).capacity, MIB);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_closed_heap_owns_nothing_and_has_no_pages(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    filz_mmap_info info;
    unsigned char page;
    char *block = filz_mmap_alloc(&heap, 10, 1);
    assert_true(filz_mmap_owns(&heap, block));
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_false(filz_mmap_owns(&heap, block));
    assert_false(filz_mmap_owns(&heap, NULL));
    assert_int_equal(filz_mmap_stats(&heap, &info), FILZ_ECLOSED);
    assert_int_equal(pages_of(&heap, 0, 1, &page), 0);
    assert_int_equal(filz_mmap_reset(&heap), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_closed_heap_opens_again_with_new_settings(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    for (size_t round = 1; round <= 20; round++) {
        heap.capacity = round * MIB;
        heap.path = round % 2 ? "again.filz" : NULL;
        char *block = filz_mmap_alloc_zeroed(&heap, 100 * KIB, 1);
        assert_non_null(block);
        assert_true(is_filled(block, 0, 100 * KIB));
        memset(block, 0xA5, 100 * KIB);
        assert_int_equal(stats_of(&heap).capacity, round * MIB);
        assert_int_equal(stats_of(&heap).blocks, 1);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

static void the_handle_of_an_open_heap_can_be_moved_in_memory(void **state)
{
    (void)state;
    filz_mmap here = {.capacity = MIB}, there;
    char *a = filz_mmap_alloc(&here, 10, 1);
    memcpy(&there, &here, sizeof(here));
    memset(&here, 0xFF, sizeof(here));
    char *b = filz_mmap_alloc(&there, 10, 1);
    assert_ptr_equal(b, a + 10);
    assert_true(filz_mmap_owns(&there, a));
    assert_ptr_equal(filz_mmap_realloc(&there, b, 10, 1, 100), b);
    assert_int_equal(filz_mmap_close(&there), 0);
}

static void unknown_flags_are_refused(void **state)
{
    (void)state;
    for (unsigned flags = 2 * FILZ_MMAP_PRIVATE; flags != 0; flags *= 2) {
        filz_mmap heap = {.flags = flags, .capacity = MIB};
        assert_int_equal(filz_mmap_open(&heap), FILZ_EFLAGS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(the_first_block_opens_the_heap),
        IN_FRESH_DIRECTORY(alloc_zeroed_and_realloc_open_the_heap_too),
        IN_FRESH_DIRECTORY(opening_an_open_heap_changes_nothing),
        IN_FRESH_DIRECTORY(a_closed_heap_owns_nothing_and_has_no_pages),
        IN_FRESH_DIRECTORY(a_closed_heap_opens_again_with_new_settings),
        IN_FRESH_DIRECTORY(the_handle_of_an_open_heap_can_be_moved_in_memory),
        IN_FRESH_DIRECTORY(unknown_flags_are_refused),
    };
    return cmocka_run_group_tests_name("open_and_close", tests, NULL, NULL);
}
