/* The fast path alone: small blocks from memory that earlier rounds have touched. A round is allocated in pieces, each
 * timed, and the piece in the middle counts: what happens in fewer than half of them isn't in it, such as a heap that
 * gets its next chunk. Between the rounds, which isn't timed, the heap is reset, or each block freed where a peer can't
 * do that.
 *
 * Threads that take turns would look as fast as one alone. So each has a CPU of its own, all start at once, and only
 * those pieces count during which every thread was allocating. */
#define _GNU_SOURCE 1
#include "bench.h"

#include <pthread.h>
#include <sched.h>

/* Of 5 microseconds or so and more: reading the clock is no matter. */
enum { PIECE = 2000 };

/* In these, arenas come to have all that a round needs in one chunk that they keep. */
enum { ROUNDS_BEFORE = 4 };

static size_t pieces, rounds, threads;
static pthread_barrier_t barrier;

struct worker {
    pthread_t thread;
    size_t number;
    void **blocks;
    double *times; /* of each round: when it began, and when each piece ended */
};

static double *times_of(const struct worker *worker, size_t round)
{
    return worker->times + round * (pieces + 1);
}

static void have_own_cpu(size_t number)
{
    cpu_set_t allowed, own;
    CPU_ZERO(&own);
    sched_getaffinity(0, sizeof(allowed), &allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && number-- == 0) {
            CPU_SET(cpu, &own);
            pthread_setaffinity_np(pthread_self(), sizeof(own), &own);
            return;
        }
    bench_fail("a CPU for each thread isn't to be had");
}

/* Waking up takes as long as a round, so the end of the wait isn't slept through. */
static void start_together(void)
{
    static size_t ready;
    pthread_barrier_wait(&barrier);
    size_t all = (__atomic_fetch_add(&ready, 1, __ATOMIC_ACQ_REL) / threads + 1) * threads;
    while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < all)
        continue;
}

static void allocate(void **blocks, double *times)
{
    start_together();
    *times++ = bench_nanoseconds();
    for (size_t piece = 0; piece < pieces; piece++) {
        for (size_t i = 0; i < PIECE; i++) {
            void *block = bench_alloc(bench_small_size(i), 8);
            bench_touch(block);
            *blocks++ = block;
        }
        *times++ = bench_nanoseconds();
    }
}

/* Every thread resets, one after the other: a peer's memory may be each thread's own. */
static void give_back(void **blocks)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    pthread_barrier_wait(&barrier);
    pthread_mutex_lock(&one_at_a_time);
    bool at_once = bench_reset();
    pthread_mutex_unlock(&one_at_a_time);
    for (size_t i = 0; !at_once && i < pieces * PIECE; i++)
        bench_free(blocks[i]);
    pthread_barrier_wait(&barrier);
}

static void *work(void *argument)
{
    const struct worker *worker = argument;
    have_own_cpu(worker->number);
    for (size_t round = 0; round < ROUNDS_BEFORE; round++) {
        allocate(worker->blocks, times_of(worker, 0));
        /* Without a block after them, glibc gives the pages of freed ones back to the kernel. */
        bench_touch(bench_alloc(16, 8));
        give_back(worker->blocks);
    }
    for (size_t round = 0; round < rounds; round++) {
        allocate(worker->blocks, times_of(worker, round));
        give_back(worker->blocks);
    }
    return NULL;
}

/* Adds to `found` how long each piece of a round took during which all threads were allocating. */
static size_t add_pieces(const struct worker *workers, size_t round, double *found)
{
    double start = 0, end = 1e300;
    for (size_t i = 0; i < threads; i++) {
        const double *times = times_of(&workers[i], round);
        start = times[0] > start ? times[0] : start;
        end = times[pieces] < end ? times[pieces] : end;
    }
    size_t count = 0;
    for (size_t i = 0; i < threads; i++) {
        const double *times = times_of(&workers[i], round);
        for (size_t piece = 0; piece < pieces; piece++)
            if (times[piece] >= start && times[piece + 1] <= end)
                found[count++] = times[piece + 1] - times[piece];
    }
    return count;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void report(const struct worker *workers)
{
    double all = (double)(threads * rounds * pieces);
    double *found = bench_region((size_t)all * sizeof(*found));
    size_t count = 0;
    for (size_t round = 0; round < rounds; round++)
        count += add_pieces(workers, round, found + count);
    if (count == 0)
        bench_fail("the threads were never allocating at the same time");
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += found[i];
    qsort(found, count, sizeof(*found), compare);
    bench_say("fast-picoseconds", found[count / 2] * 1000 / PIECE);
    bench_say("fast-mean-picoseconds", sum * 1000 / PIECE / (double)count);
    bench_say("fast-percent", (double)count * 100 / all);
}

void bench_fast(char **arguments)
{
    pieces = bench_number(arguments[0]);
    rounds = bench_number(arguments[1]);
    threads = bench_number(arguments[2]);
    struct worker workers[64] = {0};
    if (threads > sizeof(workers) / sizeof(workers[0]))
        bench_fail("too many threads");
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (size_t i = 0; i < threads; i++) {
        workers[i].number = i;
        workers[i].blocks = bench_region(pieces * PIECE * sizeof(void *));
        workers[i].times = bench_region(rounds * (pieces + 1) * sizeof(double));
        if (i > 0 && pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            bench_fail("no thread");
    }
    work(&workers[0]);
    for (size_t i = 1; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    report(workers);
}
