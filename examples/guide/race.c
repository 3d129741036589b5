/* Two threads take blocks from one bump allocator.
 *
 *     race turns    step by step, in an order that goes wrong where it can
 *     race count    two million requests each, and how many of the blocks both have got
 *     race          both */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static size_t used;

static size_t load(void)
{
    return __atomic_load_n(&used, __ATOMIC_ACQUIRE);
}

static void store(size_t desired)
{
    __atomic_store_n(&used, desired, __ATOMIC_RELEASE);
}

/* Strong, unlike filz's: a spurious failure would spoil the turns. */
static bool swap(size_t *expected, size_t desired)
{
    return __atomic_compare_exchange_n(&used, expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static size_t add(size_t size)
{
    return __atomic_fetch_add(&used, size, __ATOMIC_ACQ_REL);
}

/* --- in turns --- */

enum { CAPACITY = 64 };

static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_over = PTHREAD_COND_INITIALIZER;
static int turn;

static void begin(int wanted)
{
    pthread_mutex_lock(&turn_lock);
    while (turn != wanted)
        pthread_cond_wait(&turn_over, &turn_lock);
}

static void end(int thread, const char *what, size_t number, const char *result)
{
    char said[80];
    snprintf(said, sizeof(said), "%s %zu%s", what, number, result);
    printf("  %-30s%-30s%zu\n", thread == 1 ? said : "", thread == 2 ? said : "", load());
    turn++;
    pthread_cond_broadcast(&turn_over);
    pthread_mutex_unlock(&turn_lock);
}

/* Each wants 16 bytes. Thread 1 has the odd turns. */
static void *load_and_store(void *argument)
{
    int thread = *(int *)argument;
    begin(thread);
    size_t seen = load();
    end(thread, "load:", seen, "");
    begin(thread + 2);
    store(seen + 16);
    end(thread, "store", seen + 16, seen == 8 ? ", has 8 to 23" : "");
    return NULL;
}

static void *compare_and_swap(void *argument)
{
    int thread = *(int *)argument;
    begin(thread);
    size_t seen = load();
    end(thread, "load:", seen, "");
    for (int next = thread + 2;; next++) {
        begin(next);
        size_t wanted = seen + 16;
        size_t expected = seen;
        bool swapped = swap(&seen, wanted);
        char result[40];
        snprintf(result, sizeof(result), swapped ? " to %zu, has %zu to %zu" : " to %zu: no, is %zu", wanted, seen,
                 expected + 15);
        end(thread, "swap", expected, result);
        if (swapped)
            return NULL;
    }
}

/* Thread 1 wants 32 bytes of the 24 that are left, thread 2 only 8. */
static void *add_first(void *argument)
{
    int thread = *(int *)argument;
    size_t size = thread == 1 ? 32 : 8;
    begin(thread);
    bool fits = add(size) + size <= CAPACITY;
    end(thread, "add", size, fits ? "" : ": doesn't fit");
    begin(thread + 2);
    if (!fits)
        add(0 - size);
    end(thread, "subtract", size, fits ? "" : ", NULL");
    return NULL;
}

static void in_turns(const char *title, size_t used_before, void *(*take)(void *))
{
    int numbers[] = {1, 2};
    pthread_t other;
    store(used_before);
    turn = 1;
    printf("%s\n  %-30s%-30sused: %zu\n", title, "thread 1", "thread 2", used_before);
    if (pthread_create(&other, NULL, take, &numbers[1]) != 0)
        return;
    take(&numbers[0]);
    pthread_join(other, NULL);
}

static void show_turns(void)
{
    in_turns("load, add, store", 8, load_and_store);
    in_turns("compare and swap", 8, compare_and_swap);
    in_turns("add, then look", 40, add_first);
}

/* --- two million times each --- */

enum { ROUNDS = 20, BLOCKS = 100000, SIZE = 8 };

struct taker {
    size_t (*take)(struct taker *self);
    size_t again; /* swaps that failed */
    uint32_t blocks[BLOCKS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int ready;

static size_t take_by_store(struct taker *self)
{
    (void)self;
    size_t block = load();
    store(block + SIZE);
    return block;
}

static size_t take_locked(struct taker *self)
{
    pthread_mutex_lock(&lock);
    size_t block = take_by_store(self);
    pthread_mutex_unlock(&lock);
    return block;
}

static size_t take_by_swap(struct taker *self)
{
    size_t block = load();
    while (!swap(&block, block + SIZE))
        self->again++;
    return block;
}

/* Spins: a thread that sleeps may find that the other is done. */
static void wait_for_the_other(void)
{
    __atomic_fetch_add(&ready, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < 2)
        sched_yield();
}

static void *take_all(void *argument)
{
    struct taker *self = argument;
    wait_for_the_other();
    for (size_t i = 0; i < BLOCKS; i++)
        self->blocks[i] = (uint32_t)(self->take(self) / SIZE);
    return NULL;
}

static size_t count_twice(struct taker takers[2])
{
    static unsigned char taken[2 * BLOCKS];
    size_t twice = 0;
    memset(taken, 0, sizeof(taken));
    for (size_t i = 0; i < BLOCKS; i++)
        taken[takers[0].blocks[i]] = 1;
    for (size_t i = 0; i < BLOCKS; i++)
        twice += taken[takers[1].blocks[i]];
    return twice;
}

/* In rounds, because on a busy machine one thread may finish a round before the other begins. */
static void count(const char *way, size_t (*take)(struct taker *self))
{
    static struct taker takers[2];
    size_t twice = 0;
    takers[0] = (struct taker){.take = take};
    takers[1] = (struct taker){.take = take};
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t other;
        store(0);
        ready = 0;
        if (pthread_create(&other, NULL, take_all, &takers[1]) != 0)
            return;
        take_all(&takers[0]);
        pthread_join(other, NULL);
        twice += count_twice(takers);
    }
    printf("%s: %zu of thread 2's %d blocks are thread 1's too; %zu swaps tried again\n", way, twice, ROUNDS * BLOCKS,
           takers[0].again + takers[1].again);
}

static void show_counts(void)
{
    count("load, add, store", take_by_store);
    count("the same, locked", take_locked);
    count("compare and swap", take_by_swap);
}

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "turns") == 0)
        show_turns();
    if (argc < 2 || strcmp(argv[1], "count") == 0)
        show_counts();
    return 0;
}
