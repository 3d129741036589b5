/* What both allocators promise of the blocks that alloc and alloc_zeroed return: alignment, sizes, no headers, no
 * overlap, and what a failed request and dealloc change. Each test runs on the one, on the other, and on a heap among
 * others. */
#include "contract.h"

#include "../../../c/bump.h"

/* -- Alignment ----------------------------------------------------------------------------------------------------- */

static void a_block_is_aligned_to_any_power_of_two(void **state)
{
    for (size_t align = 1; align <= MIB; align *= 2) {
        assert_non_null(heap_alloc(*state, 1, 1)); /* so that the next block begins at an odd place */
        char *block = heap_alloc(*state, 3, align);
        assert_non_null(block);
        assert_true(is_aligned(block, align));
        memset(block, 1, 3);
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

/* -- Sizes and failures -------------------------------------------------------------------------------------------- */

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

static void a_failed_request_takes_no_memory(void **state)
{
    char *before = heap_alloc(*state, 10, 1);
    size_t used = heap_used(*state);
    assert_null(heap_alloc(*state, CAPACITY + 1, 1));
    assert_null(heap_alloc(*state, CAPACITY, 1));
    assert_null(heap_alloc_zeroed(*state, CAPACITY, 4096));
    assert_int_equal(heap_used(*state), used);
    assert_ptr_equal(heap_alloc(*state, 10, 1), before + 10);
}

static void a_request_that_fits_succeeds_after_one_that_failed(void **state)
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

/* -- Where blocks are ---------------------------------------------------------------------------------------------- */

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

static void owns_memory_that_is_not_allocated_yet(void **state)
{
    char *block = heap_alloc(*state, 1, 1);
    assert_true(heap_owns(*state, block + CAPACITY / 2));
    assert_false(heap_owns(*state, block + CAPACITY));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL(a_block_is_aligned_to_any_power_of_two),
        ON_ALL(an_alignment_that_is_no_power_of_two_is_EINVAL),
        ON_ALL(an_alignment_that_no_address_in_the_heap_has_is_ENOMEM),
        ON_ALL(padding_is_no_more_than_the_alignment_needs),
        ON_ALL(blocks_of_size_zero_are_unique),
        ON_ALL(a_size_that_overflows_is_ENOMEM),
        ON_ALL(a_failed_request_takes_no_memory),
        ON_ALL(a_request_that_fits_succeeds_after_one_that_failed),
        ON_ALL(success_leaves_errno_alone),
        ON_ALL(blocks_follow_each_other_without_headers),
        ON_ALL(many_blocks_keep_their_contents),
        ON_ALL(owns_every_byte_of_its_blocks_and_nothing_else),
        ON_ALL(owns_memory_that_is_not_allocated_yet),
        ON_ALL(dealloc_does_nothing),
    };
    return cmocka_run_group_tests_name("alloc", tests, NULL, NULL);
}
