/* What <filz/hooks.h> promises of new blocks, whatever library calls it: address, size, contents, and errors. */
#include "hook_heap.h"

static void blocks_are_at_multiples_of_16_whatever_the_program_allocates_between_them(void **state)
{
    (void)state;
    for (size_t size = 0; size < 2000; size++) {
        check_block(hook_malloc(size), size);
        check_block(hook_calloc(1, size), size);
        assert_non_null(filz_mmap_alloc(&heap, 1 + size % 40, 1));
        check_block(hook_realloc(NULL, size), size);
        assert_true(is_aligned(hook_strdup("text"), 16));
        assert_true(is_aligned(filz_context_malloc(&heap, size), 16));
        assert_true(is_aligned(filz_context_zalloc(&heap, 1, (unsigned)size), 16));
    }
}

static void large_blocks_are_too(void **state)
{
    (void)state;
    for (size_t size = 200 * KIB; size < 2 * MIB; size += 100001) {
        check_block(hook_malloc(size), size);
        check_block(hook_calloc(1, size), size);
        char *block = hook_malloc(10);
        check_block(block, 10);
        assert_non_null(hook_malloc(1));
        block = hook_realloc(block, size);
        check_block(block, size);
        check_block(hook_realloc(block, size + 100 * KIB), size + 100 * KIB);
    }
}

static void size_0_is_a_block_of_its_own(void **state)
{
    (void)state;
    void *blocks[] = {hook_malloc(0),
                      hook_malloc(0),
                      hook_calloc(0, 8),
                      hook_calloc(8, 0),
                      hook_calloc(0, 0),
                      hook_realloc(NULL, 0),
                      filz_context_malloc(&heap, 0),
                      filz_context_zalloc(&heap, 0, 3),
                      filz_context_zalloc(&heap, 3, 0)};
    for (size_t i = 0; i < COUNT(blocks); i++) {
        assert_non_null(blocks[i]);
        for (size_t j = 0; j < i; j++)
            assert_ptr_not_equal(blocks[i], blocks[j]);
    }
}

static void a_block_takes_8_bytes_more_rounded_up_to_a_multiple_of_16(void **state)
{
    (void)state;
    check_block(hook_malloc(1), 1);
    for (size_t size = 1; size < 1000; size++) {
        size_t before = used();
        assert_non_null(hook_malloc(size));
        assert_int_equal(used() - before, (size + 8 + 15) / 16 * 16);
        before = used();
        assert_non_null(filz_context_malloc(&heap, size));
        assert_true(used() - before < size + 16);
        before = used();
        assert_non_null(hook_malloc(size)); /* finds its place again, which takes at most 15 bytes */
        assert_true(used() - before < (size + 8 + 15) / 16 * 16 + 16);
    }
}

static void a_block_that_needs_8_bytes_more_than_are_left_takes_nothing(void **state)
{
    (void)state;
    char *newest = NULL, *block;
    errno = 0;
    while ((block = filz_mmap_alloc(&heap, 64, 64)) != NULL)
        newest = block;
    assert_ptr_equal(filz_mmap_realloc(&heap, newest, 64, 64, 16), newest); /* 48 bytes are left, at a multiple of 16 */
    assert_null(hook_malloc(40));
    assert_int_equal(errno, ENOMEM);
    assert_null(hook_calloc(40, 1));
    block = hook_malloc(24);
    assert_ptr_equal(block, newest + 32);
}

#define FAILS_WITH(error, call)                                                                                        \
    do {                                                                                                               \
        size_t before_ = used();                                                                                       \
        errno = 0;                                                                                                     \
        assert_null(call);                                                                                             \
        assert_int_equal(errno, error);                                                                                \
        assert_int_equal(used(), before_);                                                                             \
    } while (0)

static void what_is_too_large_is_ENOMEM_and_takes_nothing(void **state)
{
    (void)state;
    char *block = hook_malloc(10);
    memcpy(block, "unchanged", 10);
    static const size_t large[] = {SIZE_MAX,
                                   SIZE_MAX - 7,
                                   SIZE_MAX - 8,
                                   SIZE_MAX - 15,
                                   SIZE_MAX - 16,
                                   SIZE_MAX - 23,
                                   PTRDIFF_MAX + (size_t)1,
                                   PTRDIFF_MAX,
                                   PTRDIFF_MAX - 8,
                                   CAPACITY + 1,
                                   CAPACITY};
    for (size_t i = 0; i < COUNT(large); i++) {
        FAILS_WITH(ENOMEM, hook_malloc(large[i]));
        FAILS_WITH(ENOMEM, hook_calloc(1, large[i]));
        FAILS_WITH(ENOMEM, hook_calloc(large[i], 1));
        FAILS_WITH(ENOMEM, hook_realloc(block, large[i]));
        FAILS_WITH(ENOMEM, hook_realloc(NULL, large[i]));
        FAILS_WITH(ENOMEM, filz_context_malloc(&heap, large[i]));
        FAILS_WITH(ENOMEM, filz_context_realloc(&heap, NULL, 0, large[i]));
        FAILS_WITH(ENOMEM, filz_context_realloc(&heap, block, 10, large[i]));
    }
    FAILS_WITH(ENOMEM, hook_calloc(SIZE_MAX / 2 + 1, 2));
    FAILS_WITH(ENOMEM, hook_calloc(SIZE_MAX / 8, 9));
    FAILS_WITH(ENOMEM, hook_calloc(((size_t)1 << (sizeof(size_t) * 4)) + 1, (size_t)1 << (sizeof(size_t) * 4)));
    FAILS_WITH(ENOMEM, filz_context_zalloc(&heap, UINT_MAX, UINT_MAX));
    FAILS_WITH(ENOMEM, filz_context_zalloc(&heap, 65536, 65537)); /* 32 bits would make 65536 of it */
    assert_string_equal(block, "unchanged");
}

static void good_size_is_0_where_there_is_no_such_block(void **state)
{
    (void)state;
    assert_int_equal(hook_good_size(SIZE_MAX), 0);
    assert_int_equal(hook_good_size(PTRDIFF_MAX), 0);
    for (size_t size = 0; size < 1000; size++) {
        assert_true(hook_good_size(size) >= size && hook_good_size(size) < size + 16);
        assert_int_equal(hook_good_size(hook_good_size(size)), hook_good_size(size));
    }
    assert_int_equal(hook_usable_size(NULL), 0);
}

static void errno_stays_as_it_was_on_success(void **state)
{
    (void)state;
    errno = 77;
    char *block = hook_malloc(10);
    block = hook_realloc(block, 10000);
    block = hook_realloc(block, 1 << 20);
    block = hook_realloc(block, 100);
    assert_non_null(block);
    assert_non_null(hook_calloc(1000, 1000));
    assert_non_null(hook_strdup("text"));
    hook_free(block);
    assert_null(hook_realloc(block, 0));
    block = filz_context_realloc(&heap, NULL, 5, 10);
    block = filz_context_realloc(&heap, block, 10, 1 << 20);
    assert_null(filz_context_realloc(&heap, block, 1 << 20, 0));
    assert_int_equal(errno, 77);
}

static void a_heap_that_is_full_is_NULL_and_ENOMEM_and_what_is_in_it_is_whole(void **state)
{
    (void)state;
    size_t count = 0;
    struct node {
        struct node *next;
        size_t number;
    } *newest = NULL, *node;
    errno = 0;
    for (size_t size = 4096; size >= 16; size /= 2) {
        while ((node = hook_malloc(size)) != NULL) {
            check_block(node, size);
            *node = (struct node){newest, count++};
            newest = node;
        }
        assert_int_equal(errno, ENOMEM);
        assert_null(hook_realloc(newest, CAPACITY));
    }
    assert_null(hook_calloc(1, 1000));
    assert_null(hook_strdup("a text that doesn't fit any more"));
    assert_true(count > CAPACITY / 5000);
    for (node = newest; node != NULL; node = node->next)
        assert_int_equal(node->number, --count);
    assert_int_equal(count, 0);
}

static void calloc_is_zero_where_other_blocks_were_before_a_reset(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 600 * KIB; size += 1 + size / 3) {
            assert_non_null(filz_mmap_alloc(&heap, 1 + size % 16, 1));
            for (int same = 0; same < 2; same++) {
                unsigned char *block = hook_calloc(size, 1);
                assert_non_null(block);
                assert_true(is_filled(block, 0, hook_usable_size(block)));
                check_block(block, size);
            }
        }
        assert_int_equal(filz_mmap_reset(&heap), 0);
    }
}

static void strdup_copies_texts_of_each_length(void **state)
{
    (void)state;
    char text[200] = "";
    check_block(hook_malloc(MIB), MIB);
    assert_int_equal(filz_mmap_reset(&heap), 0); /* the memory isn't zero any more */
    for (size_t length = 0; length + 1 < sizeof(text); length++) {
        char *copy = hook_strdup(text);
        assert_string_equal(copy, text);
        assert_ptr_not_equal(copy, text);
        assert_true(hook_usable_size(copy) >= length + 1);
        text[length] = 'x';
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_HEAP(blocks_are_at_multiples_of_16_whatever_the_program_allocates_between_them),
        ON_HEAP(large_blocks_are_too),
        ON_HEAP(size_0_is_a_block_of_its_own),
        ON_HEAP(a_block_takes_8_bytes_more_rounded_up_to_a_multiple_of_16),
        ON_HEAP(a_block_that_needs_8_bytes_more_than_are_left_takes_nothing),
        ON_HEAP(what_is_too_large_is_ENOMEM_and_takes_nothing),
        ON_HEAP(good_size_is_0_where_there_is_no_such_block),
        ON_HEAP(errno_stays_as_it_was_on_success),
        ON_HEAP(a_heap_that_is_full_is_NULL_and_ENOMEM_and_what_is_in_it_is_whole),
        ON_HEAP(calloc_is_zero_where_other_blocks_were_before_a_reset),
        ON_HEAP(strdup_copies_texts_of_each_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
