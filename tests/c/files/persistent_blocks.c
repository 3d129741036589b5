/* Blocks in the next run of a persistent heap: the newest of the last run grows and shrinks, and zeroed blocks are zero
 * whatever the file holds. */
#include "list_heap.h"
#include "threads.h"

/* -- Realloc ------------------------------------------------------------------------------------------------------- */

static void *allocate_a_byte(void *heap)
{
    return filz_mmap_alloc(heap, 1, 1);
}

/* Fills the newest block, closes the heap, opens it again and resizes the block. Returns where it is then. */
static char *resize_in_next_run(filz_mmap *heap, char *block, size_t size, size_t new_size)
{
    memset(block, 'b', size);
    assert_int_equal(filz_mmap_close(heap), 0);
    assert_int_equal(filz_mmap_open(heap), 0);
    char *now = filz_mmap_realloc(heap, block, size, 1, new_size);
    assert_non_null(now);
    assert_true(is_filled(now, 'b', size < new_size ? size : new_size));
    memset(now, 'n', new_size);
    return now;
}

/* It has a dedicated chunk, the heap's last, which is no thread's active chunk. */
static void the_newest_large_block_grows_in_place_in_the_next_run(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    assert_non_null(lists_of(&heap));
    assert_non_null(in_thread(allocate_a_byte, &heap));
    char *block = filz_mmap_alloc(&heap, 300 * KIB, 1);
    assert_non_null(block);
    assert_int_equal(stats_of(&heap).chunks, 3);
    assert_ptr_equal(resize_in_next_run(&heap, block, 300 * KIB, MIB), block);
    assert_int_equal(stats_of(&heap).chunks, 3);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void the_newest_small_block_keeps_its_contents_when_the_next_run_resizes_it(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    struct lists *lists = lists_of(&heap);
    assert_int_equal(add_node(&heap, lists, 0, 100), 1);
    char *block = filz_mmap_alloc(&heap, 1000, 1);
    assert_ptr_equal(resize_in_next_run(&heap, block, 1000, 500), block);
    block = resize_in_next_run(&heap, block, 500, 3 * KIB);
    assert_int_equal(add_node(&heap, lists, 0, 100), 2);
    block = resize_in_next_run(&heap, block, 3 * KIB, 100 * KIB);
    assert_int_equal(add_node(&heap, lists, 0, 100), 3);
    assert_true(is_filled(block, 'n', 100 * KIB));
    assert_int_equal(walk_list(&heap, lists, 0), 3);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- Zeroed blocks ------------------------------------------------------------------------------------------------- */

/* Fills the file with 0xEE, from the last chunk's tail to the offset `end`. */
static void dirty_the_tail(size_t end)
{
    struct fz_header header = header_of(PATH);
    struct fz_chunk last = {.fill = 0};
    if (header.last != 0)
        read_at(PATH, header.last, &last, sizeof(last));
    size_t start = header.last != 0 ? header.cursor - fz_chunk_left(&last) : header.cursor;
    assert_true(start < end);
    char *rubbish = malloc(end - start);
    memset(rubbish, 0xEE, end - start);
    write_at(PATH, start, rubbish, end - start);
    free(rubbish);
}

static void all_zeroed_blocks_are_zero(filz_mmap heap)
{
    static const size_t sizes[] = {1, 100, 3000, 20 * KIB, 100 * KIB, 300 * KIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    size_t blocks = 0;
    for (size_t i = 0; i < COUNT(sizes);) {
        char *block = filz_mmap_alloc_zeroed(&heap, sizes[i], 1);
        assert_true(block == NULL || is_filled(block, 0, sizes[i]));
        if (block != NULL)
            memset(block, 0xEE, sizes[i]);
        blocks += block != NULL;
        i += block == NULL || blocks % 3 == 0;
    }
    assert_true(blocks > 3);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* An offset after the header and the nodes, which are in one or two chunks of four pages. */
static size_t after_the_nodes(void)
{
    return 16 * (size_t)sysconf(_SC_PAGESIZE);
}

/* `end`, where the file ends, may be within a page, or after the capacity. */
static void assert_zeroed_although_dirtied(size_t nodes, size_t end)
{
    make_heap(nodes);
    dirty_the_tail(end);
    all_zeroed_blocks_are_zero(persistent_at(PATH));
    filz_mmap heap = open_again();
    assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 0), nodes);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(unlink(PATH), 0);
}

static void zeroed_blocks_are_zero_whatever_the_file_holds_after_the_cursor(void **state)
{
    (void)state;
    for (size_t nodes = 0; nodes < 200; nodes += 66) {
        assert_zeroed_although_dirtied(nodes, after_the_nodes());
        assert_zeroed_although_dirtied(nodes, 2 * MIB);
        assert_zeroed_although_dirtied(nodes, 6 * MIB);
    }
}

static void zeroed_blocks_are_zero_where_the_file_ended_within_a_page(void **state)
{
    (void)state;
    for (size_t nodes = 0; nodes < 200; nodes += 66) {
        assert_zeroed_although_dirtied(nodes, after_the_nodes() + 100);
        assert_zeroed_although_dirtied(nodes, 2 * MIB - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(the_newest_large_block_grows_in_place_in_the_next_run),
        IN_FRESH_DIRECTORY(the_newest_small_block_keeps_its_contents_when_the_next_run_resizes_it),
        IN_FRESH_DIRECTORY(zeroed_blocks_are_zero_whatever_the_file_holds_after_the_cursor),
        IN_FRESH_DIRECTORY(zeroed_blocks_are_zero_where_the_file_ended_within_a_page),
    };
    return cmocka_run_group_tests_name("persistent_blocks", tests, NULL, NULL);
}
