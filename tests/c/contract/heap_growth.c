/* A mapped heap grows over chunks and commits: blocks keep their contents, and the newest block its address. */
#include "support.h"

static void the_newest_block_grows_in_place_over_chunks_and_commits(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 64 * MIB};
    char *block = filz_mmap_alloc(&heap, 1, 1);
    for (size_t size = 1; size < 32 * MIB; size *= 2) {
        char *grown = filz_mmap_realloc(&heap, block, size, 1, 2 * size);
        assert_ptr_equal(grown, block);
        grown[2 * size - 1] = 'e';
    }
    assert_true(stats_of(&heap).used < 33 * MIB);
    assert_int_equal(stats_of(&heap).blocks, 1);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_grown_block_does_not_overlap_the_next(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 16 * MIB};
    char *block = filz_mmap_alloc(&heap, MIB, 1);
    char *grown = filz_mmap_realloc(&heap, block, MIB, 1, 3 * MIB);
    assert_ptr_equal(grown, block);
    block = grown;
    char *next = filz_mmap_alloc(&heap, MIB, 1);
    memset(block, 'b', 3 * MIB);
    memset(next, 'n', MIB);
    assert_true(is_filled(block, 'b', 3 * MIB));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_million_bytes_in_small_blocks_keep_their_contents(void **state)
{
    (void)state;
    enum { BLOCKS = 20000, SIZE = 50 };
    static char *blocks[BLOCKS];
    filz_mmap heap = {.capacity = 4 * MIB};
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = filz_mmap_alloc(&heap, SIZE, 1);
        assert_non_null(blocks[i]);
        memset(blocks[i], (int)(i % 255), SIZE);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        assert_true(is_filled(blocks[i], (int)(i % 255), SIZE));
    assert_int_equal(stats_of(&heap).blocks, BLOCKS);
    assert_true(stats_of(&heap).used < BLOCKS * SIZE * 101 / 100 + stats_of(&heap).page_size);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(the_newest_block_grows_in_place_over_chunks_and_commits),
        IN_FRESH_DIRECTORY(a_grown_block_does_not_overlap_the_next),
        IN_FRESH_DIRECTORY(a_million_bytes_in_small_blocks_keep_their_contents),
    };
    return cmocka_run_group_tests_name("heap_growth", tests, NULL, NULL);
}
