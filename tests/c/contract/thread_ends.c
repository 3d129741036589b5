/* How a thread may end: in destructors of its own that allocate, after its heap, or told to by another thread. */
#include "threads.h"

#include <sys/mman.h>

/* -- Destructors that allocate ------------------------------------------------------------------------------------- */

static pthread_key_t key;
static struct heap *heap_of_key;
static size_t destructor_runs;

/* How often a destructor may ask to be run. In the fourth round, ThreadSanitizer knows the thread no more. */
static const size_t rounds_of_destructors = SANITIZED ? 2 : PTHREAD_DESTRUCTOR_ITERATIONS;

/* Runs after the allocator's own, whose key is older, in each round: in the last, nobody gives back what it opens. */
static void allocate_in_destructor(void *value)
{
    (void)value;
    char *block = allocate_100_bytes(heap_of_key);
    if (block != NULL && ++destructor_runs % rounds_of_destructors != 0)
        pthread_setspecific(key, block);
}

static void *end_with_key(void *heap)
{
    void *block = allocate_100_bytes(heap);
    pthread_setspecific(key, block);
    return block;
}

static void a_destructor_of_a_thread_may_allocate_in_every_round(void **state)
{
    (void)state;
    assert_int_equal(pthread_key_create(&key, allocate_in_destructor), 0);
    heap_of_key = new_mmap_heap(64 * MIB);
    size_t threads = rounds_of(1000);
    destructor_runs = 0;
    for (size_t i = 0; i < threads; i++)
        assert_non_null(in_thread(end_with_key, heap_of_key));
    assert_int_equal(destructor_runs, threads * rounds_of_destructors);
    assert_int_equal(stats_of(&heap_of_key->mmap).blocks, threads + destructor_runs);
    assert_true(waste_of(&heap_of_key->mmap) <= (threads + 1) * chunk_size(&heap_of_key->mmap));
    print_message("%zu threads of %zu rounds of destructors: %zu KiB unused\n", threads, rounds_of_destructors,
                  waste_of(&heap_of_key->mmap) / KIB);
    free_heap(heap_of_key);
    assert_int_equal(pthread_key_delete(key), 0);
}

/* How C++ and Rust register destructors of thread-local variables. */
extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *module) __attribute__((weak));
extern void *__dso_handle __attribute__((weak));

static void allocate_at_thread_exit(void *heap)
{
    destructor_runs += allocate_100_bytes(heap) != NULL;
}

static void *end_with_thread_local_variable(void *heap)
{
    return __cxa_thread_atexit_impl(allocate_at_thread_exit, heap, &__dso_handle) == 0 ? heap : NULL;
}

/* The destructor is the first to allocate in its thread. */
static void a_destructor_of_a_thread_local_variable_may_allocate(void **state)
{
    (void)state;
    if (__cxa_thread_atexit_impl == NULL)
        SKIP("this C library has no destructors of thread-local variables");
    struct heap *heap = new_mmap_heap(64 * MIB);
    size_t threads = rounds_of(1000);
    destructor_runs = 0;
    for (size_t i = 0; i < threads; i++)
        assert_non_null(in_thread(end_with_thread_local_variable, heap));
    assert_int_equal(destructor_runs, threads);
    assert_int_equal(stats_of(&heap->mmap).threads, threads);
    assert_true(waste_of(&heap->mmap) <= chunk_size(&heap->mmap) + threads * 100 / 50);
    free_heap(heap);
}

/* -- Threads that outlive their heap ------------------------------------------------------------------------------- */

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

struct survivor {
    struct heap heap;
    pthread_barrier_t barrier;
    char *before, *after;
};

static pthread_key_t early_key;

static void allocate_as_survivor(void *argument)
{
    struct survivor *survivor = argument;
    survivor->after = allocate_100_bytes(&survivor->heap);
}

/* Before the allocator makes its own, whose destructor makes the thread forget its chunks. */
__attribute__((constructor(101))) static void make_early_key(void)
{
    pthread_key_create(&early_key, allocate_as_survivor);
}

static void *survive_a_close(void *argument)
{
    struct survivor *survivor = argument;
    survivor->before = allocate_100_bytes(&survivor->heap);
    pthread_barrier_wait(&survivor->barrier);
    pthread_barrier_wait(&survivor->barrier); /* the heap is closed */
    pthread_setspecific(early_key, survivor);
    return survivor->before;
}

/* Closes the thread's heap, and puts there what nobody may touch. Returns where. */
static void *close_and_occupy(struct survivor *survivor)
{
    char *start = survivor->before - (uintptr_t)survivor->before % MIB;
    assert_int_equal(filz_mmap_close(&survivor->heap.mmap), 0);
    assert_ptr_equal(mmap(start, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), start);
    return start;
}

/* The first allocation after the close is by a thread that still keeps the old heap's chunk, and is about to end. */
static void a_destructor_that_allocates_after_the_close_opens_the_heap_again(void **state)
{
    (void)state;
    pthread_t thread;
    struct survivor survivor = {.heap.mmap.capacity = MIB};
    assert_int_equal(pthread_barrier_init(&survivor.barrier, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, survive_a_close, &survivor), 0);
    pthread_barrier_wait(&survivor.barrier);
    void *forbidden = close_and_occupy(&survivor);
    pthread_barrier_wait(&survivor.barrier);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(filz_mmap_owns(&survivor.heap.mmap, survivor.after));
    assert_true(is_filled(survivor.after, 1, 100));
    assert_int_equal(stats_of(&survivor.heap.mmap).blocks, 1);
    assert_int_equal(munmap(forbidden, MIB), 0);
    assert_int_equal(filz_mmap_close(&survivor.heap.mmap), 0);
    assert_int_equal(pthread_barrier_destroy(&survivor.barrier), 0);
}

/* -- Cancelled threads --------------------------------------------------------------------------------------------- */

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

enum { KEPT_BLOCKS = 32, KEPT_SIZE = 1000 };

/* A thread that is cancelled at a moment which it doesn't know. */
struct victim {
    struct heap *shared;
    filz_mmap own; /* opened and closed again and again, by whichever thread's turn it is */
    size_t steps;  /* of all threads so far; atomic */
    int inside;    /* whether it is in one of the allocator's functions; atomic */
    bool failed;
    char *blocks[KEPT_BLOCKS]; /* in the shared heap */
};

/* A large block makes the file grow, and so does the newest one that becomes large. */
static bool fill_own_heap(filz_mmap *own)
{
    if (filz_mmap_alloc(own, 300 * KIB, 1) == NULL)
        return false;
    char *newest = filz_mmap_alloc(own, 100, 1);
    return newest != NULL && filz_mmap_realloc(own, newest, 100, 1, 400 * KIB) != NULL;
}

static bool take_step(struct victim *victim)
{
    size_t step = victim->steps;
    char **block = &victim->blocks[step % KEPT_BLOCKS];
    __atomic_store_n(&victim->inside, 1, __ATOMIC_RELAXED);
    bool taken = fill_own_heap(&victim->own) && (step % 2 == 0 || filz_mmap_close(&victim->own) == 0);
    *block = heap_alloc(victim->shared, KEPT_SIZE, 1);
    __atomic_store_n(&victim->inside, 0, __ATOMIC_RELAXED);
    if (*block != NULL)
        memset(*block, 'v', KEPT_SIZE);
    __atomic_store_n(&victim->steps, step + 1, __ATOMIC_RELAXED);
    return taken && *block != NULL;
}

/* With a lock left behind, the thread would never end, and the test say nothing. */
static void is_outside(void *argument)
{
    if (((struct victim *)argument)->inside) {
        fputs("the thread was unwound inside the allocator\n", stderr);
        abort();
    }
}

static void *allocate_until_cancelled(void *argument)
{
    struct victim *victim = argument;
    pthread_cleanup_push(is_outside, victim);
    while (take_step(victim))
        pthread_testcancel();
    victim->failed = true;
    pthread_cleanup_pop(0);
    return NULL;
}

/* The thread is somewhere in its second step or after it. */
static void wait_for_any_moment(struct victim *victim, size_t steps_before, unsigned *random)
{
    while (__atomic_load_n(&victim->steps, __ATOMIC_RELAXED) == steps_before)
        sched_yield();
    *random = *random * 1103515245 + 12345;
    for (unsigned i = 0; i < *random >> 16; i++)
        __atomic_load_n(&victim->steps, __ATOMIC_RELAXED);
}

/* Returns whether the thread was told to end while it was inside. */
static bool cancel_one(struct victim *victim, unsigned *random)
{
    pthread_t thread;
    void *result;
    size_t steps_before = victim->steps;
    assert_int_equal(pthread_create(&thread, NULL, allocate_until_cancelled, victim), 0);
    wait_for_any_moment(victim, steps_before, random);
    int inside = __atomic_load_n(&victim->inside, __ATOMIC_RELAXED);
    assert_int_equal(pthread_cancel(thread), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_false(victim->failed);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    return inside != 0;
}

static void the_heaps_go_on_after(struct victim *victim)
{
    for (size_t i = 0; i < KEPT_BLOCKS; i++)
        assert_true(victim->blocks[i] == NULL || is_filled(victim->blocks[i], 'v', KEPT_SIZE));
    assert_non_null(filz_mmap_alloc(&victim->own, 1, 1));
    assert_non_null(heap_alloc(victim->shared, 1, 1));
    if (stats_of(&victim->shared->mmap).used > 8 * MIB) {
        heap_reset(victim->shared);
        memset(victim->blocks, 0, sizeof(victim->blocks));
    }
}

static void threads_cancelled_at_any_moment_end_outside_the_allocator(void **state)
{
    (void)state;
    struct heap *shared = new_mmap_heap(32 * MIB);
    size_t rounds = rounds_of(10000), inside = 0;
    unsigned random = 1;
    struct victim victim = {.shared = shared, .own.capacity = 4 * MIB};
    for (size_t i = 0; i < rounds; i++) {
        inside += cancel_one(&victim, &random);
        the_heaps_go_on_after(&victim);
    }
    assert_int_equal(filz_mmap_close(&victim.own), 0);
    print_message("%zu threads cancelled, %zu of them inside the allocator\n", rounds, inside);
    free_heap(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_destructor_of_a_thread_may_allocate_in_every_round),
        IN_FRESH_DIRECTORY(a_destructor_of_a_thread_local_variable_may_allocate),
        IN_FRESH_DIRECTORY(a_thread_may_end_after_its_heap_was_closed),
        IN_FRESH_DIRECTORY(a_destructor_that_allocates_after_the_close_opens_the_heap_again),
        IN_FRESH_DIRECTORY(a_cancelled_thread_ends_outside_the_allocator),
        IN_FRESH_DIRECTORY(threads_cancelled_at_any_moment_end_outside_the_allocator),
    };
    return cmocka_run_group_tests_name("thread_ends", tests, NULL, NULL);
}
