/* A program for `filz map` and `filz watch` to look at: `tool-map-heaps PATH THREADS RATE [reset]`. Its threads fill a
 * part of a heap, side by side; it says "ready" and goes on, with RATE blocks of 1,000 bytes a second, until its
 * standard input ends. With `reset`, all blocks end after each. */
#define _GNU_SOURCE 1
#include <filz/mmap.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 200, MOST_THREADS = 64 };

static filz_mmap heap = FILZ_MMAP_INIT;
static pthread_barrier_t all_have_theirs;

static void *fill(void *nothing)
{
    for (int i = 0; i < BLOCKS; i++) {
        char *block = filz_mmap_alloc(&heap, 1000, 8);
        if (block == NULL)
            exit(1);
        memset(block, 'x', 1000);
    }
    pthread_barrier_wait(&all_have_theirs); /* or the next would take this one's tail */
    return nothing;
}

/* Chunks then begin at other places each time, and blocks lie where chunks began. */
static bool allocate_and_reset_at_times(size_t round)
{
    size_t size = 1 + round * 7919 % (256 << 10);
    char *block = filz_mmap_alloc(&heap, size, 1);
    if (block == NULL || round % 50 == 0)
        return filz_mmap_reset(&heap) == 0;
    memset(block, 'x', size);
    return true;
}

static int go_on(int rate, bool reset)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int pause = reset ? 0 : rate > 0 ? 1000 / rate : -1;
    for (size_t round = 1; poll(&input, 1, pause) == 0; round++)
        if (reset ? !allocate_and_reset_at_times(round) : filz_mmap_alloc(&heap, 1000, 8) == NULL)
            return 1;
    return 0;
}

static int fill_by_threads(long count)
{
    pthread_t threads[MOST_THREADS];
    if (count < 1 || count > MOST_THREADS || pthread_barrier_init(&all_have_theirs, NULL, (unsigned)count) != 0)
        return 1;
    for (long i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, fill, NULL) != 0)
            return 1;
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    heap.path = argv[1];
    if (fill_by_threads(strtol(argv[2], NULL, 10)) != 0)
        return 1;
    puts("ready");
    fflush(stdout);
    return go_on(atoi(argv[3]), argc > 4);
}
