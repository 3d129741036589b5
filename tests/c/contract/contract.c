/* What both allocators promise, each test run on the one, on the other, and on a heap among others. */
#include "contract.h"

#include "../../../c/bump.h"

static void every_power_of_two_is_honoured_at_the_address(void **state)
{
    for (size_t align = 1; align <= MIB; align *= 2) {
        assert_non_null(heap_alloc(*state, 1, 1)); /* so that the next block begins at an odd place */
        char *block = heap_alloc(*state, 3, align);
        assert_non_null(block);
        assert_true(is_aligned(block, align));
        memset(block, 1, 3);
    }
}

static void zeroed_and_moved_blocks_are_aligned_too(void **state)
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

static void refuses_align(struct heap *heap, size_t align)
{
    void *block = heap_alloc(heap, 1, 1);
    size_t used = heap_used(heap);
    errno = 0;
    assert_null(heap_alloc(heap, 1, align));
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_null(heap_alloc_zeroed(heap, 1, align));
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_null(heap_realloc(heap, NULL, 0, align, 1));
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_null(heap_alloc(heap, SIZE_MAX, align));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(heap_used(heap), used);
    assert_ptr_equal(heap_alloc(heap, 1, 1), (char *)block + 1);
}

static void an_alignment_that_is_no_power_of_two_is_EINVAL(void **state)
{
    for (size_t align = 0; align <= 300; align++)
        if ((align & (align - 1)) != 0 || align == 0)
            refuses_align(*state, align);
    static const size_t others[] = {4095, 4097, 65535, SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2, SIZE_MAX / 2 + 2};
    for (size_t i = 0; i < COUNT(others); i++)
        refuses_align(*state, others[i]);
}

static void an_alignment_that_no_address_in_the_heap_has_is_ENOMEM(void **state)
{
    char *block = heap_alloc(*state, 1, 1);
    for (size_t align = 2 * CAPACITY; align != 0; align *= 2) {
        if (heap_owns(*state, (void *)align_up((uintptr_t)block, align)))
            continue;
        errno = 0;
        assert_null(heap_alloc(*state, 1, align));
        assert_int_equal(errno, ENOMEM);
    }
    assert_ptr_equal(heap_alloc(*state, 1, 1), block + 1);
}

static void blocks_of_size_zero_are_unique(void **state)
{
    char *last = heap_alloc(*state, 1, 1);
    for (size_t i = 0; i < 1000; i++) {
        char *block = i % 2 ? heap_alloc(*state, 0, 1) : heap_alloc_zeroed(*state, 0, 1);
        assert_ptr_equal(block, last + 1); /* costs what size 1 does */
        last = block;
    }
}

static void a_size_that_overflows_is_ENOMEM(void **state)
{
    static const size_t borders[] = {SIZE_MAX, (size_t)PTRDIFF_MAX + 64};
    size_t used = heap_used(*state);
    for (size_t i = 0; i < COUNT(borders); i++)
        for (size_t less = 0; less <= 128; less++)
            for (size_t align = 1; align <= 8192; align *= 8) {
                errno = 0;
                assert_null(heap_alloc(*state, borders[i] - less, align));
                assert_int_equal(errno, ENOMEM);
                errno = 0;
                assert_null(heap_alloc_zeroed(*state, borders[i] - less, align));
                assert_int_equal(errno, ENOMEM);
                errno = 0;
                assert_null(heap_realloc(*state, NULL, 0, align, borders[i] - less));
                assert_int_equal(errno, ENOMEM);
            }
    assert_int_equal(heap_used(*state), used);
}

static void a_failed_request_takes_nothing(void **state)
{
    char *before = heap_alloc(*state, 10, 1);
    size_t used = heap_used(*state);
    assert_null(heap_alloc(*state, CAPACITY + 1, 1));
    assert_null(heap_alloc(*state, CAPACITY, 1));
    assert_null(heap_alloc_zeroed(*state, CAPACITY, 4096));
    assert_int_equal(heap_used(*state), used);
    assert_ptr_equal(heap_alloc(*state, 10, 1), before + 10);
}

static void a_request_that_fits_succeeds_after_one_that_did_not(void **state)
{
    size_t half = CAPACITY / 2;
    assert_non_null(heap_alloc(*state, half, 1));
    for (size_t size = half; size > 1; size /= 2) {
        heap_alloc(*state, size, 1); /* takes half of what is left each time, or fails */
        assert_null(heap_alloc(*state, half, 1));
    }
    errno = 0;
    while (heap_alloc(*state, 1, 1))
        ;
    assert_int_equal(errno, ENOMEM);
}

static void blocks_follow_each_other_without_headers(void **state)
{
    char *next = heap_alloc(*state, 1, 1);
    assert_non_null(next);
    next += 1;
    for (size_t size = 1; size <= 100; size++) {
        assert_ptr_equal(heap_alloc(*state, size, 1), next);
        next += size;
    }
}

static void padding_is_no_more_than_the_alignment_needs(void **state)
{
    uintptr_t end = (uintptr_t)heap_alloc(*state, 1, 1) + 1;
    for (size_t align = 1; align <= 1024; align *= 2)
        for (size_t size = 1; size <= 7; size++) {
            uintptr_t block = (uintptr_t)heap_alloc(*state, size, align);
            assert_int_equal(block, (end + align - 1) / align * align);
            end = block + size;
        }
}

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

static void blocks_may_grow_from_and_shrink_to_size_zero(void **state)
{
    char *block = heap_alloc(*state, 0, 1);
    assert_ptr_equal(heap_realloc(*state, block, 0, 1, 10), block);
    assert_ptr_equal(heap_realloc(*state, block, 10, 1, 0), block);
    char *next = heap_alloc(*state, 1, 1);
    assert_true(next > block);
    assert_non_null(heap_realloc(*state, block, 0, 1, 1000));
    assert_ptr_equal(heap_alloc(*state, 1, 1), next + 1001);
}

static void zeroed_blocks_are_zero_after_reset(void **state)
{
    for (size_t round = 0; round < 3; round++) {
        for (size_t size = 1; size <= MIB; size *= 4) {
            char *block = heap_alloc_zeroed(*state, size, 1);
            assert_non_null(block);
            assert_true(is_filled(block, 0, size));
            memset(block, 0xA5, size);
        }
        heap_reset(*state);
    }
}

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

static void owns_every_byte_of_its_blocks_and_nothing_else(void **state)
{
    int on_the_stack;
    char *block = heap_alloc(*state, 100, 1);
    for (size_t i = 0; i < 100; i++)
        assert_true(heap_owns(*state, block + i));
    assert_false(heap_owns(*state, NULL));
    assert_false(heap_owns(*state, &on_the_stack));
    assert_false(heap_owns(*state, (void *)UINTPTR_MAX));
    assert_false(heap_owns(*state, *state));
}

static void owns_memory_that_is_not_handed_out_yet(void **state)
{
    char *block = heap_alloc(*state, 1, 1);
    assert_true(heap_owns(*state, block + CAPACITY / 2));
    assert_false(heap_owns(*state, block + CAPACITY));
}

/* How many blocks of `size` bytes there is room for. */
static size_t fill_up(struct heap *heap, size_t size)
{
    size_t blocks = 0;
    while (heap_alloc(heap, size, 16))
        blocks++;
    return blocks;
}

static void reset_makes_room_for_as_much_as_before(void **state)
{
    size_t blocks = fill_up(*state, 4096);
    assert_true(blocks * 4096 > CAPACITY * 9 / 10);
    for (size_t round = 0; round < 4; round++) {
        heap_reset(*state);
        assert_int_equal(fill_up(*state, 4096), blocks);
    }
}

static void reset_begins_again_at_the_same_address(void **state)
{
    void *first = heap_alloc(*state, 10, 1);
    size_t used = heap_used(*state);
    heap_alloc(*state, MIB, 1);
    heap_reset(*state);
    assert_ptr_equal(heap_alloc(*state, 10, 1), first);
    assert_int_equal(heap_used(*state), used);
}

static void the_newest_block_before_a_reset_is_nobodys_after_it(void **state)
{
    heap_alloc(*state, 10, 1);
    heap_reset(*state);
    char *a = heap_alloc(*state, 10, 1), *b = heap_alloc(*state, 10, 1);
    memset(a, 'a', 10);
    memset(b, 'b', 10);
    char *grown = heap_realloc(*state, a, 10, 1, 30);
    memset(grown, 'g', 30);
    assert_true(is_filled(b, 'b', 10));
}

static void dealloc_does_nothing(void **state)
{
    char *block = heap_alloc(*state, 10, 1);
    memset(block, 'b', 10);
    size_t used = heap_used(*state);
    heap_dealloc(*state, block, 10, 1);
    heap_dealloc(*state, block, 10, 1);
    heap_dealloc(*state, NULL, 0, 1);
    assert_int_equal(heap_used(*state), used);
    assert_true(is_filled(block, 'b', 10));
    assert_ptr_equal(heap_alloc(*state, 1, 1), block + 10);
}

static void success_leaves_errno_alone(void **state)
{
    errno = 77;
    char *block = heap_alloc(*state, 10, 8);
    heap_alloc_zeroed(*state, MIB, 4096);
    block = heap_realloc(*state, block, 10, 8, 1000);
    block = heap_realloc(*state, block, 1000, 8, MIB);
    heap_realloc(*state, block, MIB, 8, 1);
    heap_dealloc(*state, block, 1, 8);
    for (size_t i = 0; i < 200; i++)
        heap_alloc(*state, 10 * KIB, 1);
    heap_reset(*state);
    heap_alloc(*state, 1, 1);
    assert_int_equal(errno, 77);
}

static void many_blocks_keep_their_contents(void **state)
{
    enum { BLOCKS = 2000 };
    static char *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = heap_alloc(*state, i, (size_t)1 << i % 8);
        assert_non_null(blocks[i]);
        memset(blocks[i], (int)(i % 251), i);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        assert_true(is_filled(blocks[i], (int)(i % 251), i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL(every_power_of_two_is_honoured_at_the_address),
        ON_ALL(zeroed_and_moved_blocks_are_aligned_too),
        ON_ALL(an_alignment_that_is_no_power_of_two_is_EINVAL),
        ON_ALL(an_alignment_that_no_address_in_the_heap_has_is_ENOMEM),
        ON_ALL(blocks_of_size_zero_are_unique),
        ON_ALL(a_size_that_overflows_is_ENOMEM),
        ON_ALL(a_failed_request_takes_nothing),
        ON_ALL(a_request_that_fits_succeeds_after_one_that_did_not),
        ON_ALL(blocks_follow_each_other_without_headers),
        ON_ALL(padding_is_no_more_than_the_alignment_needs),
        ON_ALL(realloc_of_the_newest_block_keeps_its_address),
        ON_ALL(a_newest_block_that_grows_is_writable_to_its_end),
        ON_ALL(any_block_that_shrinks_keeps_its_address),
        ON_ALL(realloc_to_the_same_size_changes_nothing),
        ON_ALL(an_older_block_that_grows_is_copied),
        ON_ALL(a_failed_realloc_leaves_the_old_block_as_it_was),
        ON_ALL(realloc_of_null_is_an_alloc),
        ON_ALL(blocks_may_grow_from_and_shrink_to_size_zero),
        ON_ALL(zeroed_blocks_are_zero_after_reset),
        ON_ALL(zeroed_blocks_are_zero_where_a_block_shrank),
        ON_ALL(zeroed_blocks_are_zero_where_a_large_block_shrank),
        ON_ALL(owns_every_byte_of_its_blocks_and_nothing_else),
        ON_ALL(owns_memory_that_is_not_handed_out_yet),
        ON_ALL(reset_makes_room_for_as_much_as_before),
        ON_ALL(reset_begins_again_at_the_same_address),
        ON_ALL(the_newest_block_before_a_reset_is_nobodys_after_it),
        ON_ALL(dealloc_does_nothing),
        ON_ALL(success_leaves_errno_alone),
        ON_ALL(many_blocks_keep_their_contents),
    };
    return cmocka_run_group_tests_name("contract", tests, NULL, NULL);
}
