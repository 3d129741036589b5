/* The list of the chunks that were ever active, newest first: which of them are free, which stay in it, and where it
 * ends when it can't be right. The first tests are unit tests of c/chunk.c, in which a thread is its active chunk. */
#include "persistent.h"
#include "threads.h"

#include "chunks.h" /* after those whose parameters have the name of its heap */

/* More than a thread's first chunk has, whatever the size of pages, and not large enough for a dedicated one. */
#define MORE (256 * KIB)

/* -- Which are free ------------------------------------------------------------------------------------------------ */

static void only_chunks_of_threads_of_an_earlier_run_are_free_while_they_are_active(void **state)
{
    (void)state;
    struct fz_chunk *first = chunk_for(1), *second = chunk_for(1), *third = chunk_for(1);
    assert_int_equal(third->owner, 3);
    heap->threads_before = 2; /* as if the heap had been opened after two threads had had a chunk */
    assert_ptr_equal(chunk_for(1), second);
    assert_ptr_equal(chunk_for(1), first);
    assert_int_equal(second->owner, 4);
    assert_int_equal(first->owner, 5);
    struct fz_chunk *fourth = chunk_for(1);
    assert_int_equal((uintptr_t)fourth, fz_chunk_end(third));
    assert_int_equal(fourth->owner, 6);
}

static void a_chunk_that_is_too_small_while_it_is_active_is_found_when_it_is_left(void **state)
{
    (void)state;
    struct fz_chunk *small = chunk_for(1), *other = chunk_for(1);
    assert_true(fz_chunk_left(small) < MORE);
    struct fz_chunk *large = chunk_for(MORE); /* drops what is free and smaller */
    assert_int_equal((uintptr_t)large, fz_chunk_end(other));
    fz_chunk_leave(heap, small);
    assert_ptr_equal(chunk_for(1), small);
}

static void one_that_was_left_and_is_too_small_is_not_looked_at_again(void **state)
{
    (void)state;
    struct fz_chunk *small = chunk_for(1), *other = chunk_for(1);
    fz_chunk_leave(heap, small);
    struct fz_chunk *large = chunk_for(MORE);
    assert_int_equal((uintptr_t)large, fz_chunk_end(other));
    assert_int_equal(heap->tails, large->offset);
    assert_int_equal(large->next_tail, other->offset);
    assert_int_equal(other->next_tail, 0);
    assert_ptr_not_equal(chunk_for(1), small);
}

/* Numbers of threads have 32 bits. */
static void threads_after_the_last_number_share_it_and_no_chunk(void **state)
{
    (void)state;
    struct fz_chunk *taken[4];
    heap->header->threads = UINT32_MAX - 2;
    for (size_t i = 0; i < COUNT(taken); i++) {
        taken[i] = chunk_for(1);
        for (size_t j = 0; j < i; j++)
            assert_ptr_not_equal(taken[j], taken[i]);
    }
    assert_int_equal(taken[0]->owner, UINT32_MAX - 1);
    assert_int_equal(taken[1]->owner, UINT32_MAX);
    assert_int_equal(taken[3]->owner, UINT32_MAX);
}

/* -- Where it ends ------------------------------------------------------------------------------------------------- */

/* Three that are free, the oldest first. */
static struct fz_chunk *chunks[3];

static void make_list(void)
{
    for (size_t i = 0; i < COUNT(chunks); i++)
        chunks[i] = chunk_for(1);
    for (size_t i = 0; i < COUNT(chunks); i++)
        fz_chunk_leave(heap, chunks[i]);
}

/* If the newest one leads to `offset`, only the newest can be taken. */
static void assert_list_ends_at(uint64_t offset)
{
    struct fz_chunk *newest = chunks[2];
    fz_chunk_leave(heap, newest);
    heap->tails = newest->offset;
    newest->next_tail = offset;
    assert_ptr_equal(chunk_for(1), newest);
    size_t cursor = heap->cursor;
    assert_int_equal((uintptr_t)chunk_for(1) - heap->backing.base, cursor); /* a new one */
}

static void a_list_ends_where_no_older_chunk_can_be(void **state)
{
    (void)state;
    make_list();
    const uint64_t page = heap->backing.page_size, older = chunks[1]->offset, newest = chunks[2]->offset;
    const uint64_t offsets[] = {0,          page - 64,    newest,       newest + page,
                                older + 64, older + page, heap->cursor, UINT64_MAX};
    for (size_t i = 0; i < COUNT(offsets); i++)
        assert_list_ends_at(offsets[i]);
}

static void it_ends_at_a_chunk_that_has_no_tail_or_cannot_be_right(void **state)
{
    (void)state;
    make_list();
    struct fz_chunk *older = chunks[1], saved = *older, wrong[6];
    for (size_t i = 0; i < COUNT(wrong); i++)
        wrong[i] = saved;
    wrong[0].state = FZ_DEDICATED;
    wrong[1].generation++;
    wrong[2].offset++;
    wrong[3].size = heap->backing.capacity - (size_t)saved.offset; /* ends after the cursor */
    wrong[4].fill = 0;
    wrong[5].size = heap->backing.page_size; /* more left than that */
    for (size_t i = 0; i < COUNT(wrong); i++) {
        *older = wrong[i];
        assert_list_ends_at((uintptr_t)older - heap->backing.base);
        assert_int_equal(older->state, wrong[i].state);
        *older = saved;
    }
}

/* So that the fast path never aligns wrongly in a chunk of a damaged file. */
static void it_ends_at_a_chunk_that_breaks_the_fast_paths_rule(void **state)
{
    (void)state;
    make_list();
    struct fz_chunk *older = chunks[1];
    older->size -= heap->backing.page_size;
    fz_chunk_set_left(older, 2 * heap->backing.page_size);
    assert_false(fz_chunk_end_suits(fz_chunk_end(older), fz_chunk_left(older)));
    assert_list_ends_at(older->offset);
}

/* -- Numbers in the file ------------------------------------------------------------------------------------------- */

#define PATH "heap.filz"

/* Whatever number of threads the file says that it has had: those of the next run have chunks of their own. */
static void no_number_of_threads_in_the_file_makes_threads_share_a_chunk(void **state)
{
    (void)state;
    const uint64_t numbers[] = {0, 1, UINT32_MAX / 2, UINT32_MAX / 2 + 1, UINT32_MAX - 1, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        filz_mmap next = persistent_at(PATH);
        assert_non_null(filz_mmap_alloc(&next, 100, 1));
        assert_int_equal(filz_mmap_close(&next), 0);
        struct fz_header header = header_of(PATH);
        header.threads = (size_t)numbers[i];
        write_at(PATH, 0, &header, sizeof(header));
        assert_int_equal(filz_mmap_open(&next), 0);
        struct fz_chunk *taken[3] = {NULL, NULL, NULL};
        for (size_t j = 0; j < COUNT(taken); j++)
            assert_non_null(fz_chunk_alloc(next.heap, &taken[j], 1, 1, &fresh_pages));
        assert_true(taken[0] != taken[1] && taken[1] != taken[2] && taken[0] != taken[2]);
        assert_int_equal(filz_mmap_close(&next), 0);
        assert_int_equal(unlink(PATH), 0);
    }
}

/* -- After a crash ------------------------------------------------------------------------------------------------- */

/* Ends as if it were killed, and its last chunk is a large block's. */
static int leave_a_dedicated_chunk(void *unused)
{
    (void)unused;
    filz_mmap killed = persistent_at(PATH);
    struct lists *lists = lists_of(&killed);
    EXPECT(lists != NULL);
    in_thread(allocate_100_bytes, &(struct heap){.mmap = killed});
    EXPECT(add_node(&killed, lists, 0, MIB) == 1);
    EXPECT(killed.heap->last->state == FZ_DEDICATED);
    _exit(0);
}

/* The list is that chunk alone. */
static void a_run_that_was_killed_after_a_large_block_leaves_a_heap_that_goes_on(void **state)
{
    (void)state;
    assert_int_equal(in_child(leave_a_dedicated_chunk, NULL), 0);
    for (int run = 0; run < 2; run++) {
        filz_mmap next = persistent_at(PATH);
        struct lists *lists = lists_of(&next);
        assert_non_null(lists);
        assert_int_equal(walk_list(&next, lists, 0), 1);
        assert_int_equal(stats_of(&next).chunks, 3 + run);
        for (uint64_t i = 1; i <= 5; i++)
            assert_int_equal(add_node(&next, lists, 1 + run, 100), i);
        assert_int_equal(stats_of(&next).chunks, 4);
        assert_int_equal(walk_list(&next, lists, 0), 1);
        assert_int_equal(filz_mmap_close(&next), 0);
    }
}

/* -- Before a checkpoint ------------------------------------------------------------------------------------------- */

/* A block that was synced shrinks: the chunk doesn't get shorter than the checkpoint, and what is allocated next is
 * aligned and apart from it, whatever is left of the chunk. */
static void a_block_that_shrinks_before_a_checkpoint_leaves_the_chunk_as_long_as_it_is(void **state)
{
    (void)state;
    for (size_t size = 20 * KIB; size <= 240 * KIB; size += 20 * KIB) {
        filz_mmap synced = persistent_at(PATH);
        assert_non_null(filz_mmap_alloc(&synced, 1000, 1));
        char *block = filz_mmap_alloc(&synced, size, 1);
        assert_non_null(block);
        memset(block, 'b', size);
        assert_int_equal(filz_mmap_sync(&synced), 0);
        size_t in_chunks = stats_of(&synced).in_chunks;
        assert_ptr_equal(filz_mmap_realloc(&synced, block, size, 1, 10), block);
        assert_int_equal(stats_of(&synced).in_chunks, in_chunks);
        for (size_t align = 1; align <= 64 * KIB; align *= 2) {
            char *next = filz_mmap_alloc(&synced, 10, align);
            assert_true(next != NULL && is_aligned(next, align) && (next >= block + 10 || next + 10 <= block));
            memset(next, 'n', 10);
        }
        assert_true(is_filled(block, 'b', 10));
        assert_int_equal(filz_mmap_close(&synced), 0);
        assert_int_equal(unlink(PATH), 0);
    }
}

/* -- A block that may need more than it takes ---------------------------------------------------------------------- */

static void *allocate_at_two_pages(void *small)
{
    return heap_alloc(small, 1, 2 * stats_of(&((struct heap *)small)->mmap).page_size);
}

/* Near the end of a heap, a chunk is made just large enough. That is less than such a block may need elsewhere. */
static void a_new_chunk_stays_in_the_list_however_little_it_has(void **state)
{
    (void)state;
    struct heap *small = new_mmap_heap(16 * (size_t)sysconf(_SC_PAGESIZE));
    char *block = in_thread(allocate_at_two_pages, small);
    assert_ptr_equal(in_thread(allocate_100_bytes, small), block + 1);
    free_heap(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_HEAP(only_chunks_of_threads_of_an_earlier_run_are_free_while_they_are_active),
        ON_A_HEAP(a_chunk_that_is_too_small_while_it_is_active_is_found_when_it_is_left),
        ON_A_HEAP(one_that_was_left_and_is_too_small_is_not_looked_at_again),
        ON_A_HEAP(threads_after_the_last_number_share_it_and_no_chunk),
        ON_A_HEAP(a_list_ends_where_no_older_chunk_can_be),
        ON_A_HEAP(it_ends_at_a_chunk_that_has_no_tail_or_cannot_be_right),
        ON_A_HEAP(it_ends_at_a_chunk_that_breaks_the_fast_paths_rule),
        IN_FRESH_DIRECTORY(no_number_of_threads_in_the_file_makes_threads_share_a_chunk),
        IN_FRESH_DIRECTORY(a_run_that_was_killed_after_a_large_block_leaves_a_heap_that_goes_on),
        IN_FRESH_DIRECTORY(a_block_that_shrinks_before_a_checkpoint_leaves_the_chunk_as_long_as_it_is),
        IN_FRESH_DIRECTORY(a_new_chunk_stays_in_the_list_however_little_it_has),
    };
    return cmocka_run_group_tests_name("chunk_list", tests, NULL, NULL);
}
