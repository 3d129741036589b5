/* What both allocators promise of realloc: which blocks keep their address, and what the old and the new block hold.
 * Each test runs on the one, on the other, and on a heap among others. */
#include "contract.h"

/* -- Growing and shrinking ----------------------------------------------------------------------------------------- */

static void realloc_of_the_newest_block_keeps_its_address(void **state)
{
    heap_alloc(*state, 5, 1);
    char *block = heap_alloc(*state, 16, 8);
    memset(block, 'b', 16);
    size_t used = heap_used(*state);
    for (size_t size = 16; size < 1000; size++)
        assert_ptr_equal(heap_realloc(*state, block, size, 8, size + 1), block);
    assert_true(is_filled(block, 'b', 16));
    assert_int_equal(heap_used(*state), used + 1000 - 16);
    assert_ptr_equal(heap_alloc(*state, 1, 1), block + 1000);
}

static void a_newest_block_that_grows_is_writable_to_its_end(void **state)
{
    char *block = heap_alloc(*state, 1, 1);
    for (size_t size = 1; size < CAPACITY / 4; size *= 2) {
        block = heap_realloc(*state, block, size, 1, 2 * size);
        assert_non_null(block);
        memset(block, 'g', 2 * size);
    }
    char *after = heap_alloc(*state, 64, 1);
    memset(after, 'a', 64);
    assert_true(is_filled(block, 'g', CAPACITY / 4));
}

static void any_block_that_shrinks_keeps_its_address(void **state)
{
    char *older = heap_alloc(*state, 100, 8);
    char *newest = heap_alloc(*state, 100, 8);
    memset(older, 'o', 100);
    memset(newest, 'n', 100);
    for (size_t size = 100; size > 0; size--) {
        assert_ptr_equal(heap_realloc(*state, older, size, 8, size - 1), older);
        assert_ptr_equal(heap_realloc(*state, newest, size, 8, size - 1), newest);
        assert_true(is_filled(older, 'o', size - 1));
        assert_true(is_filled(newest, 'n', size - 1));
    }
}

static void realloc_to_the_same_size_changes_nothing(void **state)
{
    char *older = heap_alloc(*state, 10, 1);
    char *newest = heap_alloc(*state, 10, 1);
    size_t used = heap_used(*state);
    assert_ptr_equal(heap_realloc(*state, older, 10, 1, 10), older);
    assert_ptr_equal(heap_realloc(*state, newest, 10, 1, 10), newest);
    assert_int_equal(heap_used(*state), used);
}

static void an_older_block_that_grows_is_copied(void **state)
{
    char *older = heap_alloc(*state, 100, 8);
    char *newest = heap_alloc(*state, 100, 8);
    memset(older, 'o', 100);
    memset(newest, 'n', 100);
    char *moved = heap_realloc(*state, older, 100, 8, 200);
    assert_non_null(moved);
    assert_true(moved >= newest + 100);
    assert_true(is_filled(moved, 'o', 100));
    memset(moved, 'm', 200);
    assert_true(is_filled(newest, 'n', 100));
}

static void a_failed_realloc_leaves_the_old_block_as_it_was(void **state)
{
    static const size_t sizes[] = {CAPACITY, CAPACITY + 1, PTRDIFF_MAX, SIZE_MAX - 4096, SIZE_MAX};
    char *older = heap_alloc(*state, 100, 8);
    char *newest = heap_alloc(*state, 100, 8);
    memset(older, 'o', 100);
    memset(newest, 'n', 100);
    size_t used = heap_used(*state);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        errno = 0;
        assert_null(heap_realloc(*state, older, 100, 8, sizes[i]));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_null(heap_realloc(*state, newest, 100, 8, sizes[i]));
        assert_int_equal(errno, ENOMEM);
    }
    assert_true(is_filled(older, 'o', 100));
    assert_true(is_filled(newest, 'n', 100));
    assert_int_equal(heap_used(*state), used);
    assert_ptr_equal(heap_realloc(*state, newest, 100, 8, 101), newest);
}

static void realloc_of_null_is_an_alloc(void **state)
{
    char *first = heap_alloc(*state, 1, 1);
    assert_ptr_equal(heap_realloc(*state, NULL, 0, 1, 10), first + 1);
    assert_ptr_equal(heap_realloc(*state, NULL, 99, 1, 10), first + 11);
    assert_ptr_equal(heap_realloc(*state, NULL, 0, 1, 0), first + 21);
    assert_ptr_equal(heap_alloc(*state, 1, 1), first + 22);
}

static void a_block_can_shrink_to_size_zero_and_grow_again(void **state)
{
    char *block = heap_alloc(*state, 0, 1);
    assert_ptr_equal(heap_realloc(*state, block, 0, 1, 10), block);
    assert_ptr_equal(heap_realloc(*state, block, 10, 1, 0), block);
    char *next = heap_alloc(*state, 1, 1);
    assert_true(next > block);
    assert_non_null(heap_realloc(*state, block, 0, 1, 1000));
    assert_ptr_equal(heap_alloc(*state, 1, 1), next + 1001);
}

static void zeroed_blocks_are_aligned_and_so_are_moved_ones(void **state)
{
    for (size_t align = 1; align <= 64 * KIB; align *= 2) {
        assert_non_null(heap_alloc(*state, 1, 1));
        void *block = heap_alloc_zeroed(*state, 1, align);
        assert_non_null(block);
        assert_true(is_aligned(block, align));
        assert_non_null(heap_alloc(*state, 1, 1)); /* so that the next line has to move it */
        void *moved = heap_realloc(*state, block, 1, align, 2);
        assert_non_null(moved);
        assert_ptr_not_equal(moved, block);
        assert_true(is_aligned(moved, align));
    }
}

/* -- Zeroed blocks where a block shrank ---------------------------------------------------------------------------- */

static void zeroed_blocks_are_zero_where_a_block_shrank(void **state)
{
    char *block = heap_alloc(*state, 4000, 1);
    memset(block, 0xA5, 4000);
    assert_ptr_equal(heap_realloc(*state, block, 4000, 1, 10), block);
    char *zeroed = heap_alloc_zeroed(*state, 4000, 1);
    assert_true(is_filled(zeroed, 0, 4000));
    assert_true(is_filled(block, 0xA5, 10));
}

static void zeroed_blocks_are_zero_where_a_large_block_shrank(void **state)
{
    char *block = heap_alloc(*state, CAPACITY / 2, 1);
    assert_non_null(block);
    memset(block, 0xA5, CAPACITY / 2);
    assert_ptr_equal(heap_realloc(*state, block, CAPACITY / 2, 1, 10), block);
    for (size_t size = 1; size <= MIB; size *= 2) {
        char *zeroed = heap_alloc_zeroed(*state, size, 1);
        assert_non_null(zeroed);
        assert_true(is_filled(zeroed, 0, size));
    }
    assert_true(is_filled(block, 0xA5, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL(realloc_of_the_newest_block_keeps_its_address),
        ON_ALL(a_newest_block_that_grows_is_writable_to_its_end),
        ON_ALL(any_block_that_shrinks_keeps_its_address),
        ON_ALL(realloc_to_the_same_size_changes_nothing),
        ON_ALL(an_older_block_that_grows_is_copied),
        ON_ALL(a_failed_realloc_leaves_the_old_block_as_it_was),
        ON_ALL(realloc_of_null_is_an_alloc),
        ON_ALL(a_block_can_shrink_to_size_zero_and_grow_again),
        ON_ALL(zeroed_blocks_are_aligned_and_so_are_moved_ones),
        ON_ALL(zeroed_blocks_are_zero_where_a_block_shrank),
        ON_ALL(zeroed_blocks_are_zero_where_a_large_block_shrank),
    };
    return cmocka_run_group_tests_name("realloc", tests, NULL, NULL);
}
