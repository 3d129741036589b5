/* What both allocators promise of reset: the heap starts again, with as much memory as before, and zeroed blocks are
 * zero. Each test runs on the one, on the other, and on a heap among others. */
#include "contract.h"

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

static void the_first_block_after_a_reset_has_the_same_address(void **state)
{
    void *first = heap_alloc(*state, 10, 1);
    size_t used = heap_used(*state);
    heap_alloc(*state, MIB, 1);
    heap_reset(*state);
    assert_ptr_equal(heap_alloc(*state, 10, 1), first);
    assert_int_equal(heap_used(*state), used);
}

static void the_newest_block_before_a_reset_is_not_the_newest_after_it(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL(reset_makes_room_for_as_much_as_before),
        ON_ALL(the_first_block_after_a_reset_has_the_same_address),
        ON_ALL(the_newest_block_before_a_reset_is_not_the_newest_after_it),
        ON_ALL(zeroed_blocks_are_zero_after_reset),
    };
    return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
