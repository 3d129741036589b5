/* Local heaps: blocks that are allocated inline, from pieces of a mapped heap. */
#include "threads.h"

enum { PIECE = 64 * 1024, BLOCKS = 20000, ROUNDS = 100, THREADS = 4 };

struct block {
    unsigned char *start;
    size_t size, align;
};

/* -- What a block is ----------------------------------------------------------------------------------------------- */

/* Blocks of any size up to twice what goes into a piece, at any alignment up to twice that; some grow or shrink. 0, or
 * 1 if one isn't as it should be. */
static int use_at_random(filz_mmap *heap, filz_local *local, unsigned seed, struct block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct block *block = &blocks[i];
        size_t largest = (size_t)1 << (rand_r(&seed) % 15);
        block->size = 1 + (size_t)rand_r(&seed) % largest;
        block->align = (size_t)1 << (rand_r(&seed) % 8);
        block->start = filz_local_alloc(local, block->size, block->align);
        EXPECT(block->start != NULL && is_aligned(block->start, block->align));
        EXPECT(filz_mmap_owns(heap, block->start) && filz_mmap_owns(heap, block->start + block->size - 1));
        memset(block->start, (int)(i % 251), block->size);
        if (rand_r(&seed) % 8 != 0)
            continue;
        struct block *other = &blocks[i - (size_t)rand_r(&seed) % (i < 3 ? i + 1 : 3)];
        size_t size = 1 + (size_t)rand_r(&seed) % (2 * other->size), kept = size < other->size ? size : other->size;
        int byte = other->start[0];
        unsigned char *moved = filz_local_realloc(local, other->start, other->size, other->align, size);
        EXPECT(moved != NULL && is_aligned(moved, other->align) && is_filled(moved, byte, kept));
        EXPECT(size > other->size || moved == other->start);
        memset(moved, byte, size);
        *other = (struct block){moved, size, other->align};
    }
    for (size_t i = 0; i < count; i++)
        EXPECT(is_filled(blocks[i].start, (int)(i % 251), blocks[i].size));
    return 0;
}

static void blocks_of_any_size_and_alignment_are_aligned_apart_and_the_heaps(void **state)
{
    (void)state;
    static struct block blocks[BLOCKS / 10];
    size_t rounds = rounds_of(200);
    for (unsigned round = 0; round < rounds; round++) {
        filz_mmap heap = {.capacity = 64 * MIB};
        filz_local local = FILZ_LOCAL_INIT(&heap);
        assert_int_equal(use_at_random(&heap, &local, round, blocks, COUNT(blocks)), 0);
        filz_local_close(&local);
        for (size_t i = 0; i < COUNT(blocks); i++)
            assert_true(is_filled(blocks[i].start, (int)(i % 251), blocks[i].size));
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
    print_message("%zu rounds of %zu blocks\n", rounds, COUNT(blocks));
}

static void small_blocks_lie_side_by_side_and_are_one_block_of_the_heap(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    char *first = filz_local_alloc(&local, 24, 8);
    assert_int_equal(stats_of(&heap).blocks, 1);
    size_t used = stats_of(&heap).used;
    assert_true(used >= PIECE);
    for (size_t i = 1; i < PIECE / 24; i++)
        assert_ptr_equal(filz_local_alloc(&local, 24, 8), first + i * 24);
    assert_int_equal(stats_of(&heap).blocks, 1);
    assert_int_equal(stats_of(&heap).used, used);
    assert_non_null(filz_local_alloc(&local, 17, 1)); /* there are 16 bytes left of the piece */
    assert_int_equal(stats_of(&heap).blocks, 2);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_block_of_size_zero_has_an_address_of_its_own(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    char *first = filz_local_alloc(&local, 0, 1);
    assert_non_null(first);
    assert_ptr_equal(filz_local_alloc(&local, 0, 1), first + 1);
    assert_ptr_equal(filz_local_realloc(&local, first + 1, 0, 1, 2), first + 1);
    assert_ptr_equal(filz_local_realloc(&local, NULL, 0, 1, 1), first + 3);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void what_is_too_aligned_for_a_piece_or_too_large_for_a_new_one_is_the_heaps_own(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    char *first = filz_local_alloc(&local, PIECE / 2, 1); /* the heap's own: there was no piece */
    assert_int_equal(stats_of(&heap).blocks, 1);
    char *small = filz_local_alloc(&local, 1, 1);
    assert_true(small < first || small >= first + PIECE / 2);
    assert_int_equal(stats_of(&heap).blocks, 2);
    char *aligned = filz_local_alloc(&local, 1, 2 * FILZ_LOCAL_ALIGN);
    assert_true(is_aligned(aligned, 2 * FILZ_LOCAL_ALIGN) && (aligned < small || aligned >= small + PIECE));
    assert_int_equal(stats_of(&heap).blocks, 3);
    assert_ptr_equal(filz_local_alloc(&local, 1, FILZ_LOCAL_ALIGN), small + FILZ_LOCAL_ALIGN);
    assert_ptr_equal(filz_local_alloc(&local, PIECE / 2, 1), small + FILZ_LOCAL_ALIGN + 1); /* it has the room */
    assert_int_equal(stats_of(&heap).blocks, 3);
    char *large = filz_local_alloc(&local, PIECE / 2, 1);
    assert_true(large < small || large >= small + PIECE);
    assert_int_equal(stats_of(&heap).blocks, 4);
    assert_ptr_equal(filz_local_alloc(&local, 1, 1), small + FILZ_LOCAL_ALIGN + 1 + PIECE / 2);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void zeroed_blocks_are_zero_after_a_reset(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    for (int round = 0; round < 2; round++) {
        for (size_t size = 1; size <= 4 * FILZ_LOCAL_LARGEST; size *= 2) {
            char *block = filz_local_alloc_zeroed(&local, size, 1);
            assert_true(block != NULL && is_filled(block, 0, size));
            memset(block, 'z', size);
        }
        assert_int_equal(stats_of(&heap).blocks, 3); /* the two largest are the heap's own, which may be zero already */
        filz_local_close(&local);
        assert_int_equal(filz_mmap_reset(&heap), 0);
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- What isn't had ------------------------------------------------------------------------------------------------ */

static void a_wrong_alignment_is_EINVAL_and_a_size_that_overflows_ENOMEM(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    char *first = filz_local_alloc(&local, 1, 1);
    const size_t wrong[] = {0, 3, 48, 63, 65, SIZE_MAX}, sizes[] = {0, 1, 100, FILZ_LOCAL_LARGEST + 1, SIZE_MAX};
    for (size_t i = 0; i < COUNT(wrong) * COUNT(sizes); i++) {
        errno = 0;
        assert_null(filz_local_alloc(&local, sizes[i % COUNT(sizes)], wrong[i / COUNT(sizes)]));
        assert_int_equal(errno, EINVAL);
        errno = 0;
        assert_null(filz_local_realloc(&local, first, 1, wrong[i / COUNT(sizes)], sizes[i % COUNT(sizes)]));
        assert_int_equal(errno, EINVAL);
    }
    for (size_t align = 1; align != 0; align *= 2)
        for (size_t less = 0; less < 200; less++) {
            volatile size_t size = SIZE_MAX - less; /* or the compiler warns */
            errno = 0;
            assert_null(filz_local_alloc(&local, size, align));
            assert_int_equal(errno, ENOMEM);
            assert_null(filz_local_realloc(&local, first, 1, 1, size));
        }
    assert_ptr_equal(filz_local_alloc(&local, 1, 1), first + 1);
    assert_int_equal(stats_of(&heap).blocks, 1);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_heap_without_room_for_a_piece_is_filled_to_its_end(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 3 * PIECE};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    size_t bytes = 0;
    errno = 77;
    while (filz_local_alloc(&local, 64, 64) != NULL) {
        assert_int_equal(errno, 77);
        bytes += 64;
    }
    assert_int_equal(errno, ENOMEM);
    filz_mmap_info info = stats_of(&heap);
    assert_in_range(bytes, info.used - info.page_size - 64 * (info.chunks + 2), info.used);
    assert_in_range(info.capacity - info.used, 0, 63);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_heap_that_cannot_be_opened_gives_NULL_and_why(void **state)
{
    (void)state;
    setenv("FILZ_QUIET", "1", 1);
    filz_mmap heap = {.path = "no/such/directory", .capacity = MIB};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    errno = 0;
    assert_null(filz_local_alloc(&local, 1, 1));
    assert_int_equal(errno, ENOENT);
    filz_local_close(&local);
}

/* -- Growing and closing ------------------------------------------------------------------------------------------- */

static void the_newest_block_grows_where_it_stands_and_others_are_copied(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    char *older = filz_local_alloc(&local, 100, 1);
    memset(older, 'o', 100);
    char *newest = filz_local_alloc(&local, 100, 1);
    memset(newest, 'n', 100);
    char *grown = filz_local_realloc(&local, newest, 100, 1, PIECE - 100);
    assert_ptr_equal(grown, newest);
    assert_true(is_filled(grown, 'n', 100));
    memset(grown, 'n', PIECE - 100);
    char *copy = filz_local_realloc(&local, older, 100, 1, 101); /* the piece is full */
    assert_true(copy != older && is_filled(copy, 'o', 100));
    assert_true(is_filled(older, 'o', 100) && is_filled(grown, 'n', PIECE - 100));
    assert_non_null(filz_mmap_alloc(&heap, 1, 1));
    copy = filz_local_realloc(&local, grown, PIECE - 100, 1, PIECE - 99);
    assert_true(copy != grown && is_filled(copy, 'n', PIECE - 100));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void what_a_block_loses_when_it_shrinks_is_not_allocated_again(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    char *block = filz_local_alloc(&local, 100, 1);
    assert_ptr_equal(filz_local_realloc(&local, block, 100, 1, 10), block);
    assert_ptr_equal(filz_local_alloc(&local, 1, 1), block + 100);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void closing_gives_the_rest_of_the_piece_back(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    filz_local_close(&local);
    char *block = filz_local_alloc(&local, 100, 1);
    memset(block, 'b', 100);
    filz_local_close(&local);
    filz_local_close(&local);
    assert_true(stats_of(&heap).used <= stats_of(&heap).page_size + 64 + 100);
    assert_ptr_equal(filz_mmap_alloc(&heap, 1, 1), block + 100);
    char *next = filz_local_alloc(&local, 1, 1);
    assert_true(next > block + 100 && next < block + PIECE);
    assert_true(is_filled(block, 'b', 100));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void closing_gives_nothing_back_where_the_heap_has_gone_on(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    char *block = filz_local_alloc(&local, 100, 1);
    char *after = filz_mmap_alloc(&heap, 100, 1);
    memset(after, 'a', 100);
    size_t used = stats_of(&heap).used;
    filz_local_close(&local);
    assert_int_equal(stats_of(&heap).used, used);
    char *more = filz_mmap_alloc(&heap, PIECE, 1);
    memset(more, 'm', PIECE);
    memset(block, 'b', 100);
    assert_true(is_filled(after, 'a', 100));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void closing_gives_nothing_back_that_a_checkpoint_may_need(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "heap", .capacity = MIB, .flags = FILZ_MMAP_PERSISTENT};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    char *block = filz_local_alloc(&local, 100, 1);
    assert_int_equal(filz_mmap_sync(&heap), 0);
    filz_local_close(&local);
    char *after = filz_mmap_alloc(&heap, 1, 1);
    assert_true(after < block || after >= block + PIECE);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- Persistent heaps, threads, forks ------------------------------------------------------------------------------ */

static int leave_a_list(void *path)
{
    filz_mmap heap = {.path = path, .capacity = MIB, .flags = FILZ_MMAP_PERSISTENT};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    void **list = NULL;
    for (int i = 0; i < 10000; i++) {
        void **node = filz_local_alloc(&local, sizeof(void *), sizeof(void *));
        EXPECT(node != NULL);
        *node = list;
        list = node;
    }
    EXPECT(filz_mmap_set_root(&heap, list) == 0);
    _exit(0); /* as if it were killed */
}

static void what_a_killed_program_has_allocated_is_there_in_the_next_run(void **state)
{
    (void)state;
    assert_int_equal(in_child(leave_a_list, "heap"), 0);
    filz_mmap heap = {.path = "heap", .capacity = MIB, .flags = FILZ_MMAP_PERSISTENT};
    assert_int_equal(filz_mmap_open(&heap), 0);
    int count = 0;
    for (void **node = filz_mmap_root(&heap); node != NULL; node = *node)
        count++;
    assert_int_equal(count, 10000);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

struct worker {
    filz_mmap *heap;
    unsigned seed;
    int failed;
    struct block blocks[BLOCKS / THREADS / 10];
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    filz_local local = FILZ_LOCAL_INIT(worker->heap);
    worker->failed = use_at_random(worker->heap, &local, worker->seed, worker->blocks, COUNT(worker->blocks));
    filz_local_close(&local);
    return NULL;
}

static void threads_with_local_heaps_of_one_heap_never_share_a_byte(void **state)
{
    (void)state;
    static struct worker workers[THREADS];
    size_t rounds = rounds_of(ROUNDS);
    filz_mmap heap = {.capacity = 64 * MIB};
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < THREADS; i++)
            workers[i] = (struct worker){.heap = &heap, .seed = round * THREADS + i};
        in_threads(THREADS, work, workers, sizeof(workers[0]));
        for (size_t i = 0; i < THREADS; i++) {
            assert_int_equal(workers[i].failed, 0);
            for (size_t k = 0; k < COUNT(workers[i].blocks); k++)
                assert_true(is_filled(workers[i].blocks[k].start, (int)(k % 251), workers[i].blocks[k].size));
        }
        assert_int_equal(filz_mmap_reset(&heap), 0);
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
    print_message("%zu rounds of %d threads, %zu blocks each\n", rounds, THREADS, COUNT(workers[0].blocks));
}

static int fill(void *argument)
{
    filz_local *local = argument;
    for (int i = 0; i < 10000; i++) {
        char *block = filz_local_alloc(local, 24, 8);
        EXPECT(block != NULL);
        memset(block, 'c', 24);
    }
    filz_local_close(local);
    return 0;
}

static void a_child_of_fork_goes_on_in_a_piece_of_its_own(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 2 * MIB};
    filz_local local = FILZ_LOCAL_INIT(&heap);
    char *before = filz_local_alloc(&local, 24, 8);
    memset(before, 'b', 24);
    assert_int_equal(in_child(fill, &local), 0);
    char *block = filz_local_alloc(&local, 24, 8);
    assert_ptr_equal(block, before + 24);
    assert_false(is_filled(block, 'c', 24));
    assert_true(is_filled(before, 'b', 24));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(blocks_of_any_size_and_alignment_are_aligned_apart_and_the_heaps),
        IN_FRESH_DIRECTORY(small_blocks_lie_side_by_side_and_are_one_block_of_the_heap),
        IN_FRESH_DIRECTORY(a_block_of_size_zero_has_an_address_of_its_own),
        IN_FRESH_DIRECTORY(what_is_too_aligned_for_a_piece_or_too_large_for_a_new_one_is_the_heaps_own),
        IN_FRESH_DIRECTORY(zeroed_blocks_are_zero_after_a_reset),
        IN_FRESH_DIRECTORY(a_wrong_alignment_is_EINVAL_and_a_size_that_overflows_ENOMEM),
        IN_FRESH_DIRECTORY(a_heap_without_room_for_a_piece_is_filled_to_its_end),
        IN_FRESH_DIRECTORY(a_heap_that_cannot_be_opened_gives_NULL_and_why),
        IN_FRESH_DIRECTORY(the_newest_block_grows_where_it_stands_and_others_are_copied),
        IN_FRESH_DIRECTORY(what_a_block_loses_when_it_shrinks_is_not_allocated_again),
        IN_FRESH_DIRECTORY(closing_gives_the_rest_of_the_piece_back),
        IN_FRESH_DIRECTORY(closing_gives_nothing_back_where_the_heap_has_gone_on),
        IN_FRESH_DIRECTORY(closing_gives_nothing_back_that_a_checkpoint_may_need),
        IN_FRESH_DIRECTORY(what_a_killed_program_has_allocated_is_there_in_the_next_run),
        IN_FRESH_DIRECTORY(threads_with_local_heaps_of_one_heap_never_share_a_byte),
        IN_FRESH_DIRECTORY(a_child_of_fork_goes_on_in_a_piece_of_its_own),
    };
    return cmocka_run_group_tests_name("local", tests, NULL, NULL);
}
