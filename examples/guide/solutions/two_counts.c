/* Chapter 3, exercise 2: a buffer that threads use from both ends. Its two counts must move together, so they are one
 * number: the front's in the lower half, the back's in the upper half. */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 60000, ROUNDS = 100 };

static char buffer[CAPACITY];
static uint32_t counts;
static int ready;

static uint32_t front_of(uint32_t both)
{
    return both & 0xffff;
}

static uint32_t back_of(uint32_t both)
{
    return both >> 16;
}

static bool swap(uint32_t *expected, uint32_t front, uint32_t back)
{
    return __atomic_compare_exchange_n(&counts, expected, front | back << 16, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static char *alloc_front(uint32_t size)
{
    uint32_t seen = __atomic_load_n(&counts, __ATOMIC_ACQUIRE);
    do {
        if (size > CAPACITY - front_of(seen) - back_of(seen))
            return NULL;
    } while (!swap(&seen, front_of(seen) + size, back_of(seen)));
    return buffer + front_of(seen);
}

static char *alloc_back(uint32_t size)
{
    uint32_t seen = __atomic_load_n(&counts, __ATOMIC_ACQUIRE);
    do {
        if (size > CAPACITY - front_of(seen) - back_of(seen))
            return NULL;
    } while (!swap(&seen, front_of(seen), back_of(seen) + size));
    return buffer + CAPACITY - back_of(seen) - size;
}

struct taker {
    char owner;
    size_t bytes;
};

/* Awake: a thread takes longer to begin than the other to take it all. */
static void wait_for_the_other(void)
{
    __atomic_fetch_add(&ready, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < 2)
        sched_yield();
}

/* From both ends in turn, until nothing is left. */
static void *take_all(void *argument)
{
    struct taker *self = argument;
    wait_for_the_other();
    for (uint32_t i = 0;; i++) {
        uint32_t size = i % 7 + 1;
        char *block = i % 2 == 0 ? alloc_front(size) : alloc_back(size);
        if (block == NULL && size == 1)
            return NULL;
        if (block != NULL) {
            memset(block, self->owner, size);
            self->bytes += size;
        }
    }
}

static void check(bool holds, const char *what)
{
    if (!holds) {
        printf("wrong: %s\n", what);
        exit(1);
    }
}

/* Returns whether both threads had a part of it. */
static bool share_a_buffer(void)
{
    counts = 0;
    ready = 0;
    memset(buffer, 0, sizeof(buffer));
    struct taker takers[2] = {{'a', 0}, {'b', 0}};
    pthread_t other;
    check(pthread_create(&other, NULL, take_all, &takers[1]) == 0, "a thread");
    take_all(&takers[0]);
    pthread_join(other, NULL);

    size_t found[2] = {0, 0};
    for (size_t i = 0; i < CAPACITY; i++) {
        found[0] += buffer[i] == 'a';
        found[1] += buffer[i] == 'b';
    }
    check(found[0] == takers[0].bytes && found[1] == takers[1].bytes, "no byte was allocated twice");
    check(found[0] + found[1] == CAPACITY && front_of(counts) + back_of(counts) == CAPACITY,
          "every byte was allocated");
    return takers[0].bytes > 0 && takers[1].bytes > 0;
}

int main(void)
{
    int shared = 0;
    for (int round = 0; round < ROUNDS; round++)
        shared += share_a_buffer();
    printf("both ends have met; in %d of %d rounds both threads had a part\n", shared, ROUNDS);
    return 0;
}
