/* What a thread keeps, and what becomes of it: its active chunks, and the tails of chunks that others left. */
#include "threads.h"

#include "../../../c/thread_cache.h"

static void heaps_that_are_gone_take_no_entry_of_the_cache(void **state)
{
    (void)state;
    enum { HEAPS = 1000 };
    static struct fz_chunk chunks[HEAPS];
    const size_t first = SIZE_MAX / 2; /* ids that no open heap has */
    int cancel_state;
    fz_lock(&cancel_state);
    for (size_t i = 0; i < HEAPS; i++)
        fz_thread_cache_put(first + i, &chunks[i]);
    fz_unlock(cancel_state);
    assert_ptr_equal(fz_thread_cache_chunk(first + HEAPS - 1), &chunks[HEAPS - 1]);
    assert_null(fz_thread_cache_chunk(first));
    assert_false(fz_thread_cache_select(first + HEAPS - 1)); /* is the one used last already */
    assert_false(fz_thread_cache_select(0));
    fz_thread_cache_forget(first + HEAPS - 1);
    assert_null(fz_thread_cache_chunk(first + HEAPS - 1));
}

/* The heap used last, and the entries of a page after its four words of header. */
static void the_cache_keeps_a_page_of_heaps_and_drops_the_oldest_one_at_a_time(void **state)
{
    (void)state;
    enum { DROPPED = 5, MOST_HEAPS = 600 };
    static filz_mmap heaps[MOST_HEAPS];
    char *blocks[MOST_HEAPS];
    size_t kept = 1 + ((size_t)sysconf(_SC_PAGESIZE) - 4 * sizeof(void *)) / sizeof(struct fz_active);
    if (kept + DROPPED > MOST_HEAPS)
        SKIP("in a page of this size, a thread keeps %zu heaps", kept);
    for (size_t i = 0; i < kept + DROPPED; i++) {
        heaps[i] = (filz_mmap){.capacity = 64 * KIB};
        assert_non_null(blocks[i] = filz_mmap_alloc(&heaps[i], 1, 1));
        size_t dropped = i < kept ? 0 : i - kept + 1;
        for (size_t k = 0; k <= i; k++)
            assert_true((fz_thread_cache_chunk(heaps[k].id) == NULL) == (k < dropped));
    }
    for (size_t i = 0; i < kept + DROPPED; i++) /* what was dropped is found as a tail */
        assert_ptr_equal(filz_mmap_alloc(&heaps[i], 1, 1), blocks[i] + 1);
    for (size_t i = 0; i < kept + DROPPED; i++)
        assert_int_equal(filz_mmap_close(&heaps[i]), 0);
}

static void every_heap_that_a_thread_uses_keeps_its_active_chunk(void **state)
{
    (void)state;
    enum { HEAPS = 100 };
    static filz_mmap heaps[HEAPS];
    char *blocks[HEAPS];
    for (size_t i = 0; i < HEAPS; i++) {
        heaps[i] = (filz_mmap){.capacity = MIB};
        assert_non_null(blocks[i] = filz_mmap_alloc(&heaps[i], 1, 1));
    }
    for (size_t i = 0; i < HEAPS; i++) {
        assert_ptr_equal(filz_mmap_alloc(&heaps[i], 1, 1), blocks[i] + 1);
        assert_int_equal(fz_active.heap_id, heaps[i].id);
        assert_non_null(fz_thread_cache_chunk(heaps[(i + 7) % HEAPS].id));
    }
    for (size_t i = 0; i < HEAPS; i++)
        assert_int_equal(filz_mmap_close(&heaps[i]), 0);
}

static void the_cache_takes_no_more_than_two_words_of_static_storage(void **state)
{
    (void)state;
    assert_true(sizeof(fz_active) <= 2 * sizeof(void *));
}

static void *a_large_request_fails(void *heap)
{
    return heap_alloc(heap, 200 * KIB, 1);
}

static void a_failed_request_leaves_the_tails_of_other_threads(void **state)
{
    (void)state;
    struct heap *heap = new_mmap_heap(MIB);
    assert_non_null(heap_alloc(heap, 10, 1));
    char *first = in_thread(allocate_100_bytes, heap); /* leaves a tail */
    size_t large = MIB;
    while (heap_alloc(heap, large, 1) == NULL)
        large -= 4096;
    assert_null(in_thread(a_large_request_fails, heap));
    assert_ptr_equal(in_thread(allocate_100_bytes, heap), first + 100);
    free_heap(heap);
}

static void one_block_does_not_take_the_tail_of_a_small_heap(void **state)
{
    (void)state;
    for (size_t capacity = 16 * (size_t)sysconf(_SC_PAGESIZE); capacity <= 4 * MIB; capacity *= 2) {
        struct heap *heap = new_mmap_heap(capacity);
        assert_non_null(heap_alloc(heap, capacity / 5, 1));
        assert_non_null(in_thread(allocate_100_bytes, heap));
        free_heap(heap);
    }
}

static void a_chunk_that_is_too_small_is_left_to_others(void **state)
{
    (void)state;
    struct heap *heap = new_mmap_heap(64 * MIB);
    assert_non_null(heap_alloc(heap, 1, 1));
    char *first = in_thread(allocate_100_bytes, heap); /* its chunk is the last now, so the other can't grow */
    char *tail = heap_alloc(heap, 1, 1);
    assert_non_null(heap_alloc(heap, 256 * KIB, 1)); /* needs another chunk, whatever the size of pages */
    assert_ptr_equal(in_thread(allocate_100_bytes, heap), tail + 1);
    assert_ptr_equal(in_thread(allocate_100_bytes, heap), tail + 101);
    (void)first;
    free_heap(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(heaps_that_are_gone_take_no_entry_of_the_cache),
        IN_FRESH_DIRECTORY(the_cache_keeps_a_page_of_heaps_and_drops_the_oldest_one_at_a_time),
        IN_FRESH_DIRECTORY(every_heap_that_a_thread_uses_keeps_its_active_chunk),
        IN_FRESH_DIRECTORY(the_cache_takes_no_more_than_two_words_of_static_storage),
        IN_FRESH_DIRECTORY(a_failed_request_leaves_the_tails_of_other_threads),
        IN_FRESH_DIRECTORY(one_block_does_not_take_the_tail_of_a_small_heap),
        IN_FRESH_DIRECTORY(a_chunk_that_is_too_small_is_left_to_others),
    };
    return cmocka_run_group_tests_name("thread_cache", tests, NULL, NULL);
}
