/* A persistent heap goes on where the last run left it: its pointers hold, what is allocated comes after what is there,
 * and what it returns is what a new heap would. */
#include "persistent.h"
#include "forks.h"
#include "threads.h"

#define PATH "persistent.filz"

/* -- This program again, at addresses of its own ------------------------------------------------------------------- */

/* Opens the heap at `path`, finds its lists whole and adds to each; leaves them to exit. */
static int extend_lists(const char *path)
{
    static filz_mmap heap;
    heap = persistent_at(path);
    EXPECT(filz_mmap_open(&heap) == 0);
    struct lists *lists = lists_of(&heap);
    EXPECT(lists);
    for (int list = 0; list < LISTS; list++) {
        int64_t count = walk_list(&heap, lists, list);
        EXPECT(count >= 0 && count == walk_list(&heap, lists, 0) - (list > 0));
        EXPECT(add_node(&heap, lists, list, 50 + (size_t)list * 100) == (uint64_t)count + 1);
    }
    return 0;
}

static void pointers_hold_in_each_process_that_opens_it(void **state)
{
    (void)state;
    size_t runs = rounds_of(100);
    for (size_t i = 0; i < runs; i++) {
        int status = in_child(start_this_program, PATH);
        if (status == SKIPPED)
            SKIP("a program can't be started here");
        assert_int_equal(status, 0);
    }
    filz_mmap heap = persistent_at(PATH);
    assert_int_equal(filz_mmap_open(&heap), 0);
    for (int list = 0; list < LISTS; list++)
        assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), list), runs);
    assert_int_equal(filz_mmap_close(&heap), 0);
    print_message("%zu programs opened it one after the other\n", runs);
}

#if SIZE_MAX > UINT32_MAX
static uintptr_t distance(uintptr_t a, uintptr_t b)
{
    return a > b ? a - b : b - a;
}

/* 32 random bits move what is mapped by 16 TiB; a program is below or above, by a third of the address space. */
static void a_new_heap_is_where_the_kernel_puts_nothing(void **state)
{
    (void)state;
    uintptr_t tebibyte = (uintptr_t)1 << 40, stack = (uintptr_t)&tebibyte;
    uintptr_t program = (uintptr_t)a_new_heap_is_where_the_kernel_puts_nothing;
    if (SANITIZED || stack < 64 * tebibyte)
        SKIP("the address space is smaller, or most of it a sanitizer's");
    for (int i = 0; i < 100; i++) {
        filz_mmap heap = persistent_at("new.filz");
        uintptr_t block = (uintptr_t)filz_mmap_alloc(&heap, 1, 1);
        assert_true(distance(block, stack) > 16 * tebibyte);
        assert_true(distance(block, program) > 4 * tebibyte);
        assert_int_equal(filz_mmap_close(&heap), 0);
        assert_int_equal(remove("new.filz"), 0);
    }
}
#endif

/* At random addresses, they may be in each other's way: then another one is made. */
static void heaps_of_two_programs_can_be_open_in_one(void **state)
{
    (void)state;
    filz_mmap first = persistent_at("first.filz"), second = persistent_at("second.filz");
    if (in_child(start_this_program, "first.filz") == SKIPPED)
        SKIP("a program can't be started here");
    assert_int_equal(filz_mmap_open(&first), 0);
    int error = FILZ_EBASE;
    for (int tries = 0; tries < 10 && error == FILZ_EBASE; tries++) {
        unlink("second.filz");
        assert_int_equal(in_child(start_this_program, "second.filz"), 0);
        error = filz_mmap_open(&second);
    }
    assert_int_equal(error, 0);
    assert_int_equal(walk_list(&first, filz_mmap_root(&first), 0), 1);
    assert_int_equal(walk_list(&second, filz_mmap_root(&second), 0), 1);
    assert_false(filz_mmap_owns(&first, filz_mmap_root(&second)));
    assert_int_equal(filz_mmap_close(&first), 0);
    assert_int_equal(walk_list(&second, filz_mmap_root(&second), LISTS - 1), 1);
    assert_int_equal(filz_mmap_close(&second), 0);
}

/* -- Going on ------------------------------------------------------------------------------------------------------ */

/* Makes a heap with `count` nodes in the first list. */
static void make_heap(size_t count)
{
    filz_mmap heap = persistent_at(PATH);
    struct lists *lists = lists_of(&heap);
    assert_non_null(lists);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(add_node(&heap, lists, 0, 100 + i % 50), i + 1);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static filz_mmap open_again(void)
{
    filz_mmap heap = persistent_at(PATH);
    assert_int_equal(filz_mmap_open(&heap), 0);
    return heap;
}

/* Blocks of all sizes, each filled, wherever there is room. */
static void allocate_all_over(filz_mmap *heap)
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

static void what_is_allocated_never_overlaps_what_is_there(void **state)
{
    (void)state;
    for (size_t count = 1; count < 500; count += 97) {
        make_heap(count);
        for (int run = 0; run < 3; run++) {
            filz_mmap heap = open_again();
            size_t blocks = stats_of(&heap).blocks;
            allocate_all_over(&heap);
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

static void a_heap_that_was_reset_is_empty_the_next_time(void **state)
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

/* Between the stores of a reset: the root is gone, the cursor goes back, `last` still leads to what was there.
 */
static void a_heap_that_was_killed_within_a_reset_is_empty_the_next_time(void **state)
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

static void a_plain_heap_can_be_persistent_from_then_on(void **state)
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

static void two_persistent_heaps_in_one_process_stay_apart(void **state)
{
    (void)state;
    filz_mmap heaps[2] = {persistent_at("first.filz"), persistent_at("second.filz")};
    for (uint64_t run = 1; run <= 5; run++) {
        for (size_t i = 0; i < 200; i++)
            for (int j = 0; j < 2; j++)
                assert_int_equal(add_node(&heaps[j], lists_of(&heaps[j]), j, 100), (run - 1) * 200 + i + 1);
        for (int j = 0; j < 2; j++) {
            assert_int_equal(walk_list(&heaps[j], lists_of(&heaps[j]), j), run * 200);
            assert_int_equal(walk_list(&heaps[j], lists_of(&heaps[j]), 1 - j), 0);
            assert_int_equal(filz_mmap_close(&heaps[j]), 0);
        }
    }
}

static void it_can_be_in_core_dumps_too(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    heap.flags |= FILZ_MMAP_DUMP;
    for (uint64_t run = 1; run <= 3; run++) {
        assert_int_equal(add_node(&heap, lists_of(&heap), 0, 100), run);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

/* -- Capacity ------------------------------------------------------------------------------------------------------ */

static size_t capacity_with(size_t asked)
{
    filz_mmap heap = persistent_at(PATH);
    heap.capacity = asked;
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 0), 100);
    size_t capacity = stats_of(&heap).capacity;
    assert_int_equal(filz_mmap_close(&heap), 0);
    return capacity;
}

static void capacity_may_change_and_0_is_the_last_runs(void **state)
{
    (void)state;
    make_heap(100);
    assert_int_equal(capacity_with(0), 4 * MIB);
    assert_int_equal(capacity_with(16 * MIB), 16 * MIB);
    assert_int_equal(capacity_with(0), 16 * MIB);
    assert_int_equal(capacity_with(MIB), MIB);
    assert_int_equal(capacity_with(0), MIB);
}

static void a_larger_capacity_can_be_filled(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    heap.capacity = MIB;
    struct lists *lists = lists_of(&heap);
    while (add_node(&heap, lists, 0, 5000) > 0)
        continue;
    assert_int_equal(filz_mmap_close(&heap), 0);
    heap.capacity = 8 * MIB;
    int64_t count = walk_list(&heap, lists_of(&heap), 0);
    assert_in_range(count, MIB / 5000 / 2, MIB / 5000);
    while (add_node(&heap, lists, 0, 5000) > 0)
        continue;
    assert_in_range(walk_list(&heap, lists, 0), 8 * MIB / 5000 / 2, 8 * MIB / 5000);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* The file is longer than the capacity, and stays whole as far as it is used. */
static void a_capacity_smaller_than_the_file_holds_what_is_in_use(void **state)
{
    (void)state;
    make_heap(100);
    assert_int_equal(truncate(PATH, 8 * (off_t)MIB), 0);
    assert_int_equal(capacity_with(MIB), MIB);
    filz_mmap heap = persistent_at(PATH);
    heap.capacity = MIB;
    assert_non_null(filz_mmap_alloc(&heap, MIB / 2, 1));
    assert_null(filz_mmap_alloc(&heap, MIB / 2, 1));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(capacity_with(4 * MIB), 4 * MIB);
}

/* -- Realloc, zeroed blocks ---------------------------------------------------------------------------------------- */

static void *allocate_a_byte(void *heap)
{
    return filz_mmap_alloc(heap, 1, 1);
}

/* Closes the heap and opens it again, and makes the newest block, of `size` bytes 'b', `new_size` large. Returns where
 * it is now. */
static char *resize_next_time(filz_mmap *heap, char *block, size_t size, size_t new_size)
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

/* It has a chunk of its own, the heap's last, which no thread need have open. */
static void the_newest_large_block_grows_where_it_stands_the_next_time(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    assert_non_null(lists_of(&heap));
    assert_non_null(in_thread(allocate_a_byte, &heap));
    char *block = filz_mmap_alloc(&heap, 300 * KIB, 1);
    assert_non_null(block);
    assert_int_equal(stats_of(&heap).chunks, 3);
    assert_ptr_equal(resize_next_time(&heap, block, 300 * KIB, MIB), block);
    assert_int_equal(stats_of(&heap).chunks, 3);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void the_newest_small_block_keeps_its_bytes_and_its_neighbours(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    struct lists *lists = lists_of(&heap);
    assert_int_equal(add_node(&heap, lists, 0, 100), 1);
    char *block = filz_mmap_alloc(&heap, 1000, 1);
    assert_ptr_equal(resize_next_time(&heap, block, 1000, 500), block);
    block = resize_next_time(&heap, block, 500, 3 * KIB);
    assert_int_equal(add_node(&heap, lists, 0, 100), 2);
    block = resize_next_time(&heap, block, 3 * KIB, 100 * KIB);
    assert_int_equal(add_node(&heap, lists, 0, 100), 3);
    assert_true(is_filled(block, 'n', 100 * KIB));
    assert_int_equal(walk_list(&heap, lists, 0), 3);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* Fills the file with rubbish from what the last chunk has allocated on, up to the offset `end`. */
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

/* More than the header and the nodes take, which are in one or two chunks of four pages. */
static size_t after_the_nodes(void)
{
    return 16 * (size_t)sysconf(_SC_PAGESIZE);
}

/* How long the file is, which may end within a page, or after the capacity. */
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

/* -- The tail of the last chunk ------------------------------------------------------------------------------------ */

static int allocate_16_bytes(void *closes)
{
    filz_mmap heap = persistent_at(PATH);
    char *block = filz_mmap_alloc(&heap, 16, 1);
    EXPECT(block);
    memset(block, 'r', 16);
    return *(bool *)closes ? filz_mmap_close(&heap) : (_exit(0), 1);
}

/* The header, and chunks of which all but the last are full: no run takes more than it needs. */
static void many_runs_that_take_little_take_little_space(void **state)
{
    (void)state;
    size_t runs = rounds_of(1000);
    for (size_t i = 0; i < runs; i++) {
        bool closes = i % 2;
        assert_int_equal(in_child(allocate_16_bytes, &closes), 0);
    }
    filz_mmap heap = open_again();
    filz_mmap_info info = stats_of(&heap);
    assert_int_equal(info.blocks, runs);
    assert_true(info.in_chunks <= info.page_size + runs * 16 + 8 * info.page_size);
    print_message("%zu runs, one after the other, that take 16 bytes each, took %zu KiB in %zu chunks\n", runs,
                  info.in_chunks / KIB, info.chunks);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- The root ------------------------------------------------------------------------------------------------------ */

static void the_root_must_lie_in_what_is_cut_into_chunks(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH), other = persistent_at("other.filz");
    char *block = filz_mmap_alloc(&heap, 100, 1);
    int local;
    assert_null(filz_mmap_root(&heap));
    assert_int_equal(filz_mmap_set_root(&heap, block), 0);
    char *base = (char *)heap.heap->header;
    size_t page = stats_of(&heap).page_size;
    const void *const wrong[] = {&local,
                                 (void *)1,
                                 base - 1,
                                 base,
                                 base + page - 1,
                                 base + stats_of(&heap).in_chunks,
                                 base + stats_of(&heap).capacity - 1,
                                 base + stats_of(&heap).capacity,
                                 (void *)UINTPTR_MAX,
                                 filz_mmap_alloc(&other, 1, 1)};
    size_t refused = 0;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        int error = filz_mmap_set_root(&heap, wrong[i]);
        if (error != FILZ_EADDRESS)
            print_message("the root may be %p, %td bytes from the heap's base: %d\n", wrong[i], (char *)wrong[i] - base,
                          error);
        refused += error == FILZ_EADDRESS && filz_mmap_root(&heap) == block;
        assert_int_equal(filz_mmap_set_root(&heap, block), 0);
    }
    assert_int_equal(refused, COUNT(wrong));
    assert_int_equal(filz_mmap_close(&other), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void the_root_may_be_within_a_block_or_none(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    char *block = filz_mmap_alloc(&heap, 100, 1);
    char *const roots[] = {block, block + 99, NULL, block + 1};
    for (size_t i = 0; i < COUNT(roots); i++) {
        assert_int_equal(filz_mmap_set_root(&heap, roots[i]), 0);
        assert_ptr_equal(filz_mmap_root(&heap), roots[i]);
        assert_int_equal(filz_mmap_close(&heap), 0);
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_ptr_equal(filz_mmap_root(&heap), roots[i]);
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_closed_heap_has_no_root_and_nothing_to_sync(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    for (int i = 0; i < 2; i++) {
        assert_null(filz_mmap_root(&heap));
        assert_int_equal(filz_mmap_set_root(&heap, NULL), FILZ_ECLOSED);
        assert_int_equal(filz_mmap_set_root(&heap, &heap), FILZ_ECLOSED);
        assert_int_equal(filz_mmap_sync(&heap), FILZ_ECLOSED);
        assert_false(exists(PATH) && i == 0);
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_int_equal(filz_mmap_sync(&heap), 0);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

static void a_unnamed_heap_has_a_root_but_nothing_to_sync(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    void *block = filz_mmap_alloc(&heap, 100, 1);
    assert_int_equal(filz_mmap_set_root(&heap, block), 0);
    assert_ptr_equal(filz_mmap_root(&heap), block);
    assert_int_equal(filz_mmap_sync(&heap), FILZ_EUNNAMED);
    assert_non_null(strstr(filz_error_text(FILZ_EUNNAMED), "has no name"));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void *wait_for_root(void *heap)
{
    const struct lists *lists;
    while ((lists = filz_mmap_root(heap)) == NULL)
        sched_yield();
    return walk_list(heap, lists, 0) == 10 ? NULL : heap;
}

/* Under ThreadSanitizer: nothing else orders the two threads. */
static void a_thread_that_sees_the_root_sees_what_was_written_before(void **state)
{
    (void)state;
    size_t rounds = rounds_of(200);
    filz_mmap heap = persistent_at(PATH);
    for (size_t round = 0; round < rounds; round++) {
        pthread_t thread;
        void *failed;
        assert_int_equal(filz_mmap_set_root(&heap, NULL), round == 0 ? FILZ_ECLOSED : 0);
        assert_int_equal(pthread_create(&thread, NULL, wait_for_root, &heap), 0);
        struct lists *lists = filz_mmap_alloc_zeroed(&heap, sizeof(*lists), 8);
        for (int i = 0; i < 10; i++)
            assert_true(add_node(&heap, lists, 0, 100) > 0);
        assert_int_equal(filz_mmap_set_root(&heap, lists), 0);
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
    }
    print_message("%zu roots set and seen by another thread\n", rounds);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- Fork ---------------------------------------------------------------------------------------------------------- */

static int change_in_child(void *context)
{
    filz_mmap *heap = context;
    struct lists *lists = filz_mmap_root(heap);
    EXPECT(walk_list(heap, lists, 0) == 10);
    lists->newest[0]->number = 12345;
    for (int i = 0; i < 1000; i++)
        EXPECT(add_node(heap, lists, 1, 100) > 0);
    EXPECT(filz_mmap_sync(heap) == FILZ_EUNNAMED);
    EXPECT(filz_mmap_set_root(heap, lists->newest[1]) == 0);
    EXPECT(filz_mmap_root(heap) == lists->newest[1]);
    filz_mmap second = persistent_at(PATH);
    EXPECT(filz_mmap_open(&second) == FILZ_EINUSE);
    return filz_mmap_close(heap);
}

/* While the child lives, or when it is gone. */
static void fork_and_go_on(enum way way)
{
    filz_mmap heap = persistent_at(PATH);
    struct lists *lists = lists_of(&heap);
    for (int i = 0; i < 10; i++)
        assert_true(add_node(&heap, lists, 0, 100) > 0);
    pid_t child = begin_child_with(way, change_in_child, &heap);
    assert_int_equal(end_child(child), 0);
    assert_int_equal(walk_list(&heap, lists, 0), 10);
    assert_int_equal(walk_list(&heap, lists, 1), 0);
    for (uint64_t i = 1; i <= 1000; i++)
        assert_int_equal(add_node(&heap, lists, 2, 100), i);
    assert_int_equal(filz_mmap_close(&heap), 0);
    heap = open_again();
    assert_ptr_equal(filz_mmap_root(&heap), lists);
    assert_int_equal(walk_list(&heap, lists, 0), 10);
    assert_int_equal(walk_list(&heap, lists, 1), 0);
    assert_int_equal(walk_list(&heap, lists, 2), 1000);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(unlink(PATH), 0);
}

static void the_file_has_the_parents_changes_and_none_of_the_childs(void **state)
{
    (void)state;
    for (enum way way = 0; way < WAYS; way++)
        fork_and_go_on(way);
}

/* As a daemon does. */
static int close_all_and_grow(void *heap)
{
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    return allocate_and_write(heap);
}

static void a_child_without_descriptors_goes_on_in_its_copy(void **state)
{
    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        filz_mmap heap = persistent_at(PATH);
        assert_non_null(lists_of(&heap));
        assert_int_equal(end_child(begin_child_with(way, close_all_and_grow, &heap)), 0);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

/* -- A descriptor that is gone ------------------------------------------------------------------------------------- */

static bool grows(filz_mmap *heap)
{
    errno = 0;
    bool grown = filz_mmap_alloc(heap, MIB, 1) != NULL;
    assert_int_equal(errno, grown ? 0 : ENOMEM);
    return grown;
}

/* Any other file would be a part that the next run doesn't find. */
static void a_heap_without_descriptor_grows_only_while_its_file_is_there(void **state)
{
    (void)state;
    make_heap(20);
    filz_mmap heap = open_again();
    assert_int_equal(close(descriptor_of(&heap)), 0);
    assert_true(grows(&heap));
    assert_int_equal(close(descriptor_of(&heap)), 0);
    assert_int_equal(rename(PATH, "moved.filz"), 0);
    assert_false(grows(&heap));
    write_file(PATH, FOREIGN);
    assert_false(grows(&heap));
    assert_string_equal(text_of(PATH), FOREIGN);
    assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 0), 20);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(rename("moved.filz", PATH), 0);
    heap = open_again();
    assert_true(grows(&heap));
    assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 0), 20);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return extend_lists(argv[1]);
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(pointers_hold_in_each_process_that_opens_it),
#if SIZE_MAX > UINT32_MAX
        IN_FRESH_DIRECTORY(a_new_heap_is_where_the_kernel_puts_nothing),
#endif
        IN_FRESH_DIRECTORY(heaps_of_two_programs_can_be_open_in_one),
        IN_FRESH_DIRECTORY(what_is_allocated_never_overlaps_what_is_there),
        IN_FRESH_DIRECTORY(a_heap_closed_and_opened_again_is_the_same),
        IN_FRESH_DIRECTORY(a_heap_that_was_reset_is_empty_the_next_time),
        IN_FRESH_DIRECTORY(a_heap_that_was_killed_within_a_reset_is_empty_the_next_time),
        IN_FRESH_DIRECTORY(a_plain_heap_can_be_persistent_from_then_on),
        IN_FRESH_DIRECTORY(two_persistent_heaps_in_one_process_stay_apart),
        IN_FRESH_DIRECTORY(it_can_be_in_core_dumps_too),
        IN_FRESH_DIRECTORY(capacity_may_change_and_0_is_the_last_runs),
        IN_FRESH_DIRECTORY(a_larger_capacity_can_be_filled),
        IN_FRESH_DIRECTORY(a_capacity_smaller_than_the_file_holds_what_is_in_use),
        IN_FRESH_DIRECTORY(the_newest_large_block_grows_where_it_stands_the_next_time),
        IN_FRESH_DIRECTORY(the_newest_small_block_keeps_its_bytes_and_its_neighbours),
        IN_FRESH_DIRECTORY(zeroed_blocks_are_zero_whatever_the_file_holds_after_the_cursor),
        IN_FRESH_DIRECTORY(zeroed_blocks_are_zero_where_the_file_ended_within_a_page),
        IN_FRESH_DIRECTORY(many_runs_that_take_little_take_little_space),
        IN_FRESH_DIRECTORY(the_root_must_lie_in_what_is_cut_into_chunks),
        IN_FRESH_DIRECTORY(the_root_may_be_within_a_block_or_none),
        IN_FRESH_DIRECTORY(a_closed_heap_has_no_root_and_nothing_to_sync),
        IN_FRESH_DIRECTORY(a_unnamed_heap_has_a_root_but_nothing_to_sync),
        IN_FRESH_DIRECTORY(a_thread_that_sees_the_root_sees_what_was_written_before),
        IN_FRESH_DIRECTORY(the_file_has_the_parents_changes_and_none_of_the_childs),
        IN_FRESH_DIRECTORY(a_child_without_descriptors_goes_on_in_its_copy),
        IN_FRESH_DIRECTORY(a_heap_without_descriptor_grows_only_while_its_file_is_there),
    };
    return cmocka_run_group_tests_name("persistent", tests, NULL, NULL);
}
