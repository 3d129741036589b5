/* The next run of a program finds its persistent heap as the last run left it: each block where it was, or none after a
 * reset. */
#include "list_heap.h"

/* Fills blocks of all sizes, so that tails of chunks are used too. */
static void allocate_all_sizes_and_alignments(filz_mmap *heap)
{
    for (size_t size = 0; size < 20 * KIB; size = size * 2 + 1) {
        for (size_t align = 1; align <= 8 * KIB; align *= 8) {
            char *block = filz_mmap_alloc(heap, size, align);
            assert_non_null(block);
            assert_true(is_aligned(block, align));
            memset(block, 0xEE, size);
        }
    }
}

static void new_blocks_never_overlap_those_of_earlier_runs(void **state)
{
    (void)state;
    for (size_t count = 1; count < 500; count += 97) {
        make_heap(count);
        for (int run = 0; run < 3; run++) {
            filz_mmap heap = open_again();
            size_t blocks = stats_of(&heap).blocks;
            allocate_all_sizes_and_alignments(&heap);
            assert_true(stats_of(&heap).blocks > blocks);
            assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 0), count);
            assert_int_equal(filz_mmap_close(&heap), 0);
        }
        assert_int_equal(unlink(PATH), 0);
    }
}

static void a_heap_closed_and_opened_again_is_the_same(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    struct lists *lists = lists_of(&heap);
    for (uint64_t number = 1; number <= 50; number++) {
        assert_int_equal(add_node(&heap, lists, 0, 1000), number);
        assert_int_equal(filz_mmap_close(&heap), 0);
        assert_null(filz_mmap_root(&heap));
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_ptr_equal(filz_mmap_root(&heap), lists);
        assert_int_equal(walk_list(&heap, lists, 0), number);
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_heap_that_was_reset_is_empty_in_the_next_run(void **state)
{
    (void)state;
    make_heap(300);
    filz_mmap heap = open_again();
    assert_int_equal(filz_mmap_reset(&heap), 0);
    assert_null(filz_mmap_root(&heap));
    assert_int_equal(filz_mmap_close(&heap), 0);
    heap = open_again();
    assert_null(filz_mmap_root(&heap));
    assert_int_equal(stats_of(&heap).blocks, 0);
    assert_int_equal(stats_of(&heap).chunks, 0);
    char *block = filz_mmap_alloc_zeroed(&heap, MIB, 1);
    assert_true(is_filled(block, 0, MIB));
    assert_int_equal(filz_mmap_close(&heap), 0);
    filz_mmap plain = {.path = PATH, .capacity = MIB};
    assert_int_equal(filz_mmap_open(&plain), FILZ_EPERSISTENT);
}

/* Between two stores of a reset, the root is cleared and the cursor set back, but `last` still is the old chunk. */
static void a_heap_whose_process_was_killed_in_a_reset_is_empty_in_the_next_run(void **state)
{
    (void)state;
    make_heap(300);
    struct fz_header header = header_of(PATH);
    header.root = 0;
    header.cursor = (size_t)header.page_size;
    header.checksum = fz_header_checksum(&header);
    write_at(PATH, 0, &header, sizeof(header));
    filz_mmap heap = open_again();
    assert_int_equal(stats_of(&heap).blocks, 0);
    char *block = filz_mmap_alloc_zeroed(&heap, MIB, 1);
    assert_true(is_filled(block, 0, MIB));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_plain_heap_can_become_persistent(void **state)
{
    (void)state;
    filz_mmap plain = {.path = PATH, .capacity = 4 * MIB};
    struct lists *lists = lists_of(&plain);
    for (size_t i = 0; i < 500; i++)
        assert_true(add_node(&plain, lists, 0, 200) > 0);
    assert_int_equal(filz_mmap_close(&plain), 0);
    filz_mmap heap = persistent_at(PATH);
    heap.tag = 0; /* the plain heap's */
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_ptr_equal(filz_mmap_root(&heap), lists);
    assert_int_equal(walk_list(&heap, lists, 0), 500);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(filz_mmap_open(&plain), FILZ_EPERSISTENT);
}

static void a_persistent_heap_can_be_in_core_dumps(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    heap.flags |= FILZ_MMAP_DUMP;
    for (uint64_t run = 1; run <= 3; run++) {
        assert_int_equal(add_node(&heap, lists_of(&heap), 0, 100), run);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(new_blocks_never_overlap_those_of_earlier_runs),
        IN_FRESH_DIRECTORY(a_heap_closed_and_opened_again_is_the_same),
        IN_FRESH_DIRECTORY(a_heap_that_was_reset_is_empty_in_the_next_run),
        IN_FRESH_DIRECTORY(a_heap_whose_process_was_killed_in_a_reset_is_empty_in_the_next_run),
        IN_FRESH_DIRECTORY(a_plain_heap_can_become_persistent),
        IN_FRESH_DIRECTORY(a_persistent_heap_can_be_in_core_dumps),
    };
    return cmocka_run_group_tests_name("persistent_next_run", tests, NULL, NULL);
}
