/* Both allocators under several threads. Asserts are for the main thread; the others return how many things were wrong.
 */
#include "support.h"

#include "../../c/heap_file.h"
#include "../../c/thread_cache.h"

enum { MOST_THREADS = 8 };

/* -- Threads at the same time -------------------------------------------------------------------------------------- */

enum { BLOCKS = 2000 };

struct worker {
    struct heap *heap;
    pthread_t thread;
    int number;
    unsigned char *blocks[BLOCKS];
    size_t wrong;
};

static size_t size_of(size_t i)
{
    return i % 61 + i % 7 * 16;
}

static void *fill_blocks(void *argument)
{
    struct worker *worker = argument;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = size_of(i), align = (size_t)1 << i % 7;
        unsigned char *block =
            i % 3 ? heap_alloc(worker->heap, size, align) : heap_alloc_zeroed(worker->heap, size, align);
        worker->wrong += block == NULL || !is_aligned(block, align);
        worker->wrong += i % 3 == 0 && !is_filled(block, 0, size);
        if (i % 5 == 0) {
            unsigned char *grown = heap_realloc(worker->heap, block, size, align, size + 100);
            worker->wrong += grown == NULL;
            block = grown ? grown : block;
        }
        worker->blocks[i] = block;
        memset(block, worker->number, size);
    }
    return NULL;
}

static size_t wrong_blocks(const struct worker *worker)
{
    size_t wrong = worker->wrong;
    for (size_t i = 0; i < BLOCKS; i++)
        wrong += !is_filled(worker->blocks[i], worker->number, size_of(i));
    return wrong;
}

static void *check_blocks(void *argument)
{
    struct worker *worker = argument;
    worker->wrong = wrong_blocks(worker);
    return NULL;
}

static void run(struct worker *workers, size_t count, void *(*body)(void *))
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, body, &workers[i]), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
}

static void fill_from_two_to_eight_threads(struct heap *heap)
{
    static struct worker workers[MOST_THREADS];
    size_t rounds = 0;
    for (size_t count = 2; count <= MOST_THREADS; count += 3, rounds++) {
        for (size_t i = 0; i < count; i++)
            workers[i] = (struct worker){.heap = heap, .number = (int)i + 1};
        run(workers, count, fill_blocks);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(wrong_blocks(&workers[i]), 0);
        heap_reset(heap);
    }
    print_message("%zu rounds\n", rounds);
    free_heap(heap);
}

static void threads_on_one_stack_never_share_a_byte(void **state)
{
    (void)state;
    fill_from_two_to_eight_threads(new_stack_heap(8 * MIB));
}

static void threads_on_one_mapped_heap_never_share_a_byte(void **state)
{
    (void)state;
    fill_from_two_to_eight_threads(new_mmap_heap(64 * MIB));
}

static void a_block_can_be_read_and_grown_by_another_thread(void **state)
{
    (void)state;
    static struct worker writer, reader;
    struct heap *heap = new_mmap_heap(64 * MIB);
    writer = (struct worker){.heap = heap, .number = 1};
    run(&writer, 1, fill_blocks);
    reader = writer;
    run(&reader, 1, check_blocks);
    assert_int_equal(reader.wrong, 0);
    for (size_t i = 0; i < BLOCKS; i++) {
        writer.blocks[i] = heap_realloc(heap, writer.blocks[i], size_of(i), 1, size_of(i) + 1000);
        assert_non_null(writer.blocks[i]);
        assert_true(is_filled(writer.blocks[i], 1, size_of(i)));
        memset(writer.blocks[i], 2, size_of(i) + 1000);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        assert_true(is_filled(writer.blocks[i], 2, size_of(i) + 1000));
    free_heap(heap);
}

/* Threads that start together on a heap that nobody has opened. */
static void the_first_block_may_be_asked_for_by_many_threads_at_once(void **state)
{
    (void)state;
    static struct worker workers[4];
    size_t rounds = 20;
    for (size_t round = 0; round < rounds; round++) {
        struct heap heap = {.mmap = {.capacity = 16 * MIB}};
        for (size_t i = 0; i < COUNT(workers); i++)
            workers[i] = (struct worker){.heap = &heap, .number = (int)i + 1};
        run(workers, COUNT(workers), fill_blocks);
        for (size_t i = 0; i < COUNT(workers); i++)
            assert_int_equal(wrong_blocks(&workers[i]), 0);
        assert_int_equal(filz_mmap_close(&heap.mmap), 0);
    }
    print_message("%zu rounds\n", rounds);
}

struct observer {
    struct heap *heap;
    int stop;
    size_t looks, wrong;
};

static void *look_at_heap(void *argument)
{
    struct observer *observer = argument;
    static unsigned char states[65536];
    filz_mmap_info info;
    do {
        observer->wrong += filz_mmap_stats(&observer->heap->mmap, &info) != 0;
        observer->wrong += info.used > info.reserved || info.reserved > info.committed;
        observer->wrong += filz_mmap_pages(&observer->heap->mmap, 0, sizeof(states), states) == 0;
        observer->wrong += filz_mmap_owns(&observer->heap->mmap, states);
        observer->looks++;
    } while (!__atomic_load_n(&observer->stop, __ATOMIC_RELAXED));
    return NULL;
}

static void a_heap_can_be_looked_at_while_threads_allocate(void **state)
{
    (void)state;
    static struct worker workers[3];
    struct heap *heap = new_mmap_heap(64 * MIB);
    struct observer observer = {.heap = heap};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, look_at_heap, &observer), 0);
    for (size_t i = 0; i < COUNT(workers); i++)
        workers[i] = (struct worker){.heap = heap, .number = (int)i + 1};
    run(workers, COUNT(workers), fill_blocks);
    __atomic_store_n(&observer.stop, 1, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(observer.wrong, 0);
    print_message("%zu looks\n", observer.looks);
    free_heap(heap);
}

/* -- Threads one after the other ----------------------------------------------------------------------------------- */

static void *allocate_100_bytes(void *heap)
{
    char *block = heap_alloc(heap, 100, 1);
    if (block)
        memset(block, 1, 100);
    return block;
}

static void *in_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, body, argument), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    return result;
}

static void a_thread_that_ends_leaves_the_rest_of_its_chunk_to_the_next(void **state)
{
    (void)state;
    struct heap *heap = new_mmap_heap(8 * MIB);
    filz_mmap_info info;
    char *last = in_thread(allocate_100_bytes, heap);
    for (size_t i = 1; i < 100; i++) {
        char *block = in_thread(allocate_100_bytes, heap);
        assert_ptr_equal(block, last + 100);
        last = block;
    }
    assert_int_equal(filz_mmap_stats(&heap->mmap, &info), 0);
    assert_int_equal(info.chunks, 1);
    assert_int_equal(info.blocks, 100);
    assert_int_equal(info.threads, 100);
    free_heap(heap);
}

static void *allocate_after_reset(void *argument)
{
    struct heap *heap = argument;
    allocate_100_bytes(heap);
    heap_reset(heap);
    return allocate_100_bytes(heap);
}

static void a_thread_that_ends_after_a_reset_gives_back_nothing_old(void **state)
{
    (void)state;
    struct heap *heap = new_mmap_heap(8 * MIB);
    char *a = in_thread(allocate_after_reset, heap);
    char *b = in_thread(allocate_100_bytes, heap);
    assert_ptr_equal(b, a + 100);
    assert_int_equal(filz_mmap_reset(&heap->mmap), 0);
    assert_ptr_equal(in_thread(allocate_100_bytes, heap), a);
    free_heap(heap);
}

struct visitor {
    struct heap *heap;
    pthread_barrier_t barrier;
    char *before, *after;
};

static void *allocate_before_and_after(void *argument)
{
    struct visitor *visitor = argument;
    visitor->before = allocate_100_bytes(visitor->heap);
    pthread_barrier_wait(&visitor->barrier);
    pthread_barrier_wait(&visitor->barrier); /* the heap is reset, and in use again */
    visitor->after = heap_alloc(visitor->heap, 100, 1);
    return NULL;
}

static void a_thread_forgets_its_chunk_when_another_resets_the_heap(void **state)
{
    (void)state;
    pthread_t thread;
    struct visitor visitor = {.heap = new_mmap_heap(8 * MIB)};
    assert_non_null(heap_alloc(visitor.heap, 1, 1)); /* so that the other thread's chunk isn't the first */
    assert_int_equal(pthread_barrier_init(&visitor.barrier, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, allocate_before_and_after, &visitor), 0);
    pthread_barrier_wait(&visitor.barrier);
    heap_reset(visitor.heap);
    char *taken = heap_alloc(visitor.heap, MIB, 1); /* the memory that the other thread's chunk was in */
    memset(taken, 't', MIB);
    pthread_barrier_wait(&visitor.barrier);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_non_null(visitor.before);
    assert_non_null(visitor.after);
    assert_true(visitor.after >= taken + MIB || visitor.after + 100 <= taken);
    assert_true(is_filled(taken, 't', MIB));
    assert_int_equal(pthread_barrier_destroy(&visitor.barrier), 0);
    free_heap(visitor.heap);
}

static void *zeroed_megabyte(void *heap)
{
    char *block = heap_alloc_zeroed(heap, MIB, 1);
    return block && is_filled(block, 0, MIB) ? block : NULL;
}

static void what_one_thread_gave_back_is_cleared_for_another(void **state)
{
    (void)state;
    struct heap *heap = new_mmap_heap(16 * MIB);
    char *block = heap_alloc(heap, 4 * MIB, 1);
    memset(block, 0xA5, 4 * MIB);
    assert_ptr_equal(heap_realloc(heap, block, 4 * MIB, 1, 10), block);
    for (size_t i = 0; i < 4; i++)
        assert_non_null(in_thread(zeroed_megabyte, heap));
    free_heap(heap);
}

static void *use_and_close_a_heap(void *unused)
{
    (void)unused;
    filz_mmap heap = {.capacity = MIB};
    void *block = filz_mmap_alloc(&heap, 100, 1);
    return filz_mmap_close(&heap) == 0 ? block : NULL;
}

static void a_thread_may_end_after_its_heap_was_closed(void **state)
{
    (void)state;
    for (size_t round = 0; round < 20; round++)
        assert_non_null(in_thread(use_and_close_a_heap, NULL));
}

/* -- Threads that end or are told to end --------------------------------------------------------------------------- */

static pthread_key_t key;
static struct heap *heap_of_key;
static int destructor_runs;

/* How often a destructor runs. A thread has four rounds; in the fourth, ThreadSanitizer knows it no more. */
static const int rounds_of_destructor = SANITIZED ? 2 : 3;

/* Runs before or after the allocator's own, and asks to be run again. */
static void allocate_in_destructor(void *value)
{
    (void)value;
    char *block = heap_alloc(heap_of_key, 20 * KIB, 1);
    if (block == NULL)
        return;
    memset(block, 'd', 20 * KIB);
    if (++destructor_runs % rounds_of_destructor != 0)
        pthread_setspecific(key, block);
}

static void *end_with_key(void *heap)
{
    void *block = allocate_100_bytes(heap);
    pthread_setspecific(key, block);
    return block;
}

static void a_destructor_of_a_thread_may_allocate(void **state)
{
    (void)state;
    assert_int_equal(pthread_key_create(&key, allocate_in_destructor), 0);
    heap_of_key = new_mmap_heap(64 * MIB);
    for (size_t i = 0; i < 20; i++)
        assert_non_null(in_thread(end_with_key, heap_of_key));
    assert_int_equal(destructor_runs, 20 * rounds_of_destructor);
    filz_mmap_info info;
    assert_int_equal(filz_mmap_stats(&heap_of_key->mmap, &info), 0);
    assert_int_equal(info.blocks, 20 + destructor_runs);
    free_heap(heap_of_key);
    assert_int_equal(pthread_key_delete(key), 0);
}

static int completed;

/* A cancelled thread goes on until it reaches a cancellation point; the allocator must not be one. */
static void *allocate_while_cancelled(void *heap)
{
    pthread_cancel(pthread_self());
    for (size_t i = 0; i < 100; i++)
        if (heap_alloc(heap, 100 * KIB, 1) == NULL)
            return NULL;
    completed++;
    pthread_testcancel();
    return NULL;
}

static void *open_while_cancelled(void *unused)
{
    (void)unused;
    pthread_cancel(pthread_self());
    filz_mmap heap = {.path = "cancelled.filz", .capacity = MIB};
    if (filz_mmap_alloc(&heap, 1, 1) == NULL || filz_mmap_reset(&heap) != 0 || filz_mmap_close(&heap) != 0)
        return NULL;
    completed++;
    pthread_testcancel();
    return NULL;
}

static void a_cancelled_thread_ends_outside_the_allocator(void **state)
{
    (void)state;
    struct heap *heap = new_mmap_heap(64 * MIB);
    completed = 0;
    assert_ptr_equal(in_thread(allocate_while_cancelled, heap), PTHREAD_CANCELED);
    assert_ptr_equal(in_thread(open_while_cancelled, NULL), PTHREAD_CANCELED);
    assert_int_equal(completed, 2);
    assert_non_null(heap_alloc(heap, 1, 1)); /* no lock was left behind */
    free_heap(heap);
}

/* -- The cache of a thread ----------------------------------------------------------------------------------------- */

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
        IN_FRESH_FOLDER(threads_on_one_stack_never_share_a_byte),
        IN_FRESH_FOLDER(threads_on_one_mapped_heap_never_share_a_byte),
        IN_FRESH_FOLDER(a_block_can_be_read_and_grown_by_another_thread),
        IN_FRESH_FOLDER(the_first_block_may_be_asked_for_by_many_threads_at_once),
        IN_FRESH_FOLDER(a_heap_can_be_looked_at_while_threads_allocate),
        IN_FRESH_FOLDER(a_thread_that_ends_leaves_the_rest_of_its_chunk_to_the_next),
        IN_FRESH_FOLDER(a_thread_that_ends_after_a_reset_gives_back_nothing_old),
        IN_FRESH_FOLDER(a_thread_forgets_its_chunk_when_another_resets_the_heap),
        IN_FRESH_FOLDER(what_one_thread_gave_back_is_cleared_for_another),
        IN_FRESH_FOLDER(a_thread_may_end_after_its_heap_was_closed),
        IN_FRESH_FOLDER(a_destructor_of_a_thread_may_allocate),
        IN_FRESH_FOLDER(a_cancelled_thread_ends_outside_the_allocator),
        IN_FRESH_FOLDER(the_cache_keeps_the_heaps_used_last_and_drops_the_oldest),
        IN_FRESH_FOLDER(the_cache_takes_no_more_than_256_bytes_of_a_thread),
        IN_FRESH_FOLDER(a_failed_request_leaves_the_rests_of_other_threads),
        IN_FRESH_FOLDER(one_block_does_not_take_the_rest_of_a_small_heap),
        IN_FRESH_FOLDER(a_chunk_that_is_too_small_is_left_to_others),
        IN_FRESH_FOLDER(an_empty_place_in_the_cache_is_used_before_a_heap_loses_its_own),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
