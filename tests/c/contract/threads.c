/* Both allocators under several threads. How threads end is in thread_ends.c, what each keeps in thread_cache.c. */
#include "threads.h"

/* -- Threads at the same time -------------------------------------------------------------------------------------- */

enum { BLOCKS = 2000 };

struct worker {
    struct heap *heap;
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

static void fill_from_two_to_eight_threads(struct heap *heap)
{
    static struct worker workers[8];
    size_t rounds = 0;
    for (size_t count = 2; count <= COUNT(workers); count += 3, rounds++) {
        for (size_t i = 0; i < count; i++)
            workers[i] = (struct worker){.heap = heap, .number = (int)i + 1};
        in_threads(count, fill_blocks, workers, sizeof(*workers));
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
    in_thread(fill_blocks, &writer);
    reader = writer;
    in_thread(check_blocks, &reader);
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
        in_threads(COUNT(workers), fill_blocks, workers, sizeof(*workers));
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
        observer->wrong += info.used > info.in_chunks || info.in_chunks > info.committed;
        observer->wrong += pages_of(&observer->heap->mmap, 0, sizeof(states), states) == 0;
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
    in_threads(COUNT(workers), fill_blocks, workers, sizeof(*workers));
    __atomic_store_n(&observer.stop, 1, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(observer.wrong, 0);
    print_message("%zu looks\n", observer.looks);
    free_heap(heap);
}

/* -- Threads one after the other ----------------------------------------------------------------------------------- */

static void a_thread_that_ends_leaves_the_tail_of_its_chunk_to_the_next(void **state)
{
    (void)state;
    struct heap *heap = new_mmap_heap(8 * MIB);
    char *last = in_thread(allocate_100_bytes, heap);
    for (size_t i = 1; i < 100; i++) {
        char *block = in_thread(allocate_100_bytes, heap);
        assert_ptr_equal(block, last + 100);
        last = block;
    }
    filz_mmap_info info = stats_of(&heap->mmap);
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

/* -- Many threads -------------------------------------------------------------------------------------------------- */

enum { BLOCKS_A_THREAD = 10 };

/* One that lives for a few blocks. */
struct mayfly {
    struct heap *heap;
    pthread_barrier_t *all_there; /* or NULL */
    size_t wrong;
};

/* The blocks outlive the thread, so they say which thread's they are. */
static void *live_briefly(void *argument)
{
    struct mayfly *mayfly = argument;
    struct mayfly **blocks[BLOCKS_A_THREAD];
    for (size_t i = 0; i < BLOCKS_A_THREAD; i++) {
        blocks[i] = heap_alloc(mayfly->heap, 100, _Alignof(struct mayfly *));
        if (blocks[i] == NULL)
            return mayfly->wrong++, NULL;
        *blocks[i] = mayfly;
    }
    if (mayfly->all_there != NULL)
        pthread_barrier_wait(mayfly->all_there);
    for (size_t i = 0; i < BLOCKS_A_THREAD; i++)
        mayfly->wrong += *blocks[i] != mayfly;
    return NULL;
}

static void live_and_end(struct heap *heap, size_t count)
{
    static struct mayfly mayflies[MOST_THREADS];
    pthread_barrier_t all_there;
    assert_int_equal(pthread_barrier_init(&all_there, NULL, (unsigned)count), 0);
    for (size_t i = 0; i < count; i++)
        mayflies[i] = (struct mayfly){.heap = heap, .all_there = &all_there};
    in_threads(count, live_briefly, mayflies, sizeof(*mayflies));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(mayflies[i].wrong, 0);
    assert_int_equal(pthread_barrier_destroy(&all_there), 0);
}

/* The heap's last chunk may have grown to twice its size just now, and be half empty. If each thread's tail were lost,
 * it would be fifteen times what was allocated. */
static void thousands_of_threads_leave_no_more_than_one_chunk_each_of_those_alive_at_once(void **state)
{
    (void)state;
    enum { AT_ONCE = 8 };
    struct heap *heap = new_mmap_heap(64 * MIB);
    size_t rounds = rounds_of(10000 / AT_ONCE);
    for (size_t i = 0; i < rounds; i++)
        live_and_end(heap, AT_ONCE);
    filz_mmap_info info = stats_of(&heap->mmap);
    print_message("%zu threads: %zu KiB in blocks, %zu KiB unused\n", info.threads, info.used / KIB,
                  waste_of(&heap->mmap) / KIB);
    assert_int_equal(info.threads, rounds * AT_ONCE);
    assert_int_equal(info.blocks, info.threads * BLOCKS_A_THREAD);
    assert_true(waste_of(&heap->mmap) <= AT_ONCE * chunk_size(&heap->mmap) + info.used / 2);
    free_heap(heap);
}

static void what_256_threads_at_once_leave_is_enough_for_the_next_256(void **state)
{
    (void)state;
    struct heap *heap = new_mmap_heap(64 * MIB);
    size_t generations = 5, first = 0;
    for (size_t i = 0; i < generations; i++) {
        live_and_end(heap, MOST_THREADS);
        size_t in_chunks = stats_of(&heap->mmap).in_chunks;
        first = i == 0 ? in_chunks : first;
        assert_int_equal(in_chunks, first);
    }
    assert_true(first <= (MOST_THREADS + 1) * chunk_size(&heap->mmap));
    print_message("%zu times %d threads at once: %zu KiB\n", generations, MOST_THREADS, first / KIB);
    free_heap(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(threads_on_one_stack_never_share_a_byte),
        IN_FRESH_DIRECTORY(threads_on_one_mapped_heap_never_share_a_byte),
        IN_FRESH_DIRECTORY(a_block_can_be_read_and_grown_by_another_thread),
        IN_FRESH_DIRECTORY(the_first_block_may_be_asked_for_by_many_threads_at_once),
        IN_FRESH_DIRECTORY(a_heap_can_be_looked_at_while_threads_allocate),
        IN_FRESH_DIRECTORY(a_thread_that_ends_leaves_the_tail_of_its_chunk_to_the_next),
        IN_FRESH_DIRECTORY(a_thread_that_ends_after_a_reset_gives_back_nothing_old),
        IN_FRESH_DIRECTORY(a_thread_forgets_its_chunk_when_another_resets_the_heap),
        IN_FRESH_DIRECTORY(what_one_thread_gave_back_is_cleared_for_another),
        IN_FRESH_DIRECTORY(thousands_of_threads_leave_no_more_than_one_chunk_each_of_those_alive_at_once),
        IN_FRESH_DIRECTORY(what_256_threads_at_once_leave_is_enough_for_the_next_256),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
