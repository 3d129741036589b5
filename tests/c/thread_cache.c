/* What a thread keeps, and what becomes of it: its open chunks, and the rests of chunks that others left. */
#include "threads.h"

#include "../../c/heap_file.h"
#include "../../c/thread_cache.h"

static void the_cache_keeps_the_heaps_used_last_and_drops_the_oldest(void **state)
{
    (void)state;
    static struct filz_chunk chunks[FILZ_HEAPS_PER_THREAD + 1];
    const size_t first = SIZE_MAX / 2; /* ids that no open heap has */
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    for (size_t i = 0; i <= FILZ_HEAPS_PER_THREAD; i++)
        filz_thread_cache_put(first + i, &chunks[i]);
    filz_heaps_unlock(cancel_state);
    assert_null(filz_thread_cache_chunk(first));
    for (size_t i = 1; i <= FILZ_HEAPS_PER_THREAD; i++)
        assert_ptr_equal(filz_thread_cache_chunk(first + i), &chunks[i]);
    assert_false(filz_thread_cache_select(first + FILZ_HEAPS_PER_THREAD)); /* is in front already */
    assert_true(filz_thread_cache_select(first + 1));
    assert_int_equal(filz_thread_cache.entries[0].heap_id, first + 1);
    assert_false(filz_thread_cache_select(first));
    assert_false(filz_thread_cache_select(0));
    for (size_t i = 1; i <= FILZ_HEAPS_PER_THREAD; i++) {
        filz_thread_cache_forget(first + i);
        assert_null(filz_thread_cache_chunk(first + i));
    }
}

static void the_cache_takes_no_more_than_256_bytes_of_a_thread(void **state)
{
    (void)state;
    assert_true(sizeof(struct filz_thread_cache) <= 256);
}

static void *a_large_request_fails(void *heap)
{
    return heap_alloc(heap, 200 * KIB, 1);
}

static void a_failed_request_leaves_the_rests_of_other_threads(void **state)
{
    (void)state;
    struct heap *heap = new_mmap_heap(MIB);
    assert_non_null(heap_alloc(heap, 10, 1));
    char *first = in_thread(allocate_100_bytes, heap); /* leaves a rest */
    size_t large = MIB;
    while (heap_alloc(heap, large, 1) == NULL)
        large -= 4096;
    assert_null(in_thread(a_large_request_fails, heap));
    assert_ptr_equal(in_thread(allocate_100_bytes, heap), first + 100);
    free_heap(heap);
}

static void one_block_does_not_take_the_rest_of_a_small_heap(void **state)
{
    (void)state;
    for (size_t capacity = 64 * KIB; capacity <= 4 * MIB; capacity *= 2) {
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
    char *rest = heap_alloc(heap, 1, 1);
    assert_non_null(heap_alloc(heap, 100 * KIB, 1)); /* opens another chunk */
    assert_ptr_equal(in_thread(allocate_100_bytes, heap), rest + 1);
    assert_ptr_equal(in_thread(allocate_100_bytes, heap), rest + 101);
    (void)first;
    free_heap(heap);
}

static void an_empty_place_in_the_cache_is_used_before_a_heap_loses_its_own(void **state)
{
    (void)state;
    filz_mmap heaps[FILZ_HEAPS_PER_THREAD];
    for (size_t i = 0; i < COUNT(heaps); i++) {
        heaps[i] = (filz_mmap){.capacity = MIB};
        assert_non_null(filz_mmap_alloc(&heaps[i], 1, 1));
    }
    filz_mmap *last = &heaps[COUNT(heaps) - 1];
    assert_int_equal(filz_mmap_reset(last), 0);
    assert_non_null(filz_mmap_alloc(last, 1, 1));
    for (size_t i = 0; i < COUNT(heaps); i++) {
        assert_non_null(filz_thread_cache_chunk(heaps[i].id));
        assert_int_equal(filz_mmap_close(&heaps[i]), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_FOLDER(the_cache_keeps_the_heaps_used_last_and_drops_the_oldest),
        IN_FRESH_FOLDER(the_cache_takes_no_more_than_256_bytes_of_a_thread),
        IN_FRESH_FOLDER(a_failed_request_leaves_the_rests_of_other_threads),
        IN_FRESH_FOLDER(one_block_does_not_take_the_rest_of_a_small_heap),
        IN_FRESH_FOLDER(a_chunk_that_is_too_small_is_left_to_others),
        IN_FRESH_FOLDER(an_empty_place_in_the_cache_is_used_before_a_heap_loses_its_own),
    };
    return cmocka_run_group_tests_name("thread_cache", tests, NULL, NULL);
}
