/* Chapter 8, exercise 2: a hundred threads, each with one small block: one after the other, and all at once. How many
 * chunks is that? */
#include <filz/mmap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 100 };

static filz_mmap heap = FILZ_MMAP_INIT;
static pthread_barrier_t all_have_one;

static void check(bool is_so, const char *what)
{
    if (is_so)
        return;
    printf("wrong: %s\n", what);
    exit(1);
}

static void *take_one(void *unused)
{
    check(filz_mmap_alloc(&heap, 16, 16) != NULL, "a block");
    return unused;
}

static void *take_one_and_stay(void *unused)
{
    take_one(NULL);
    pthread_barrier_wait(&all_have_one);
    return unused;
}

static size_t chunks(void)
{
    filz_mmap_info info;
    check(filz_mmap_stats(&heap, &info) == 0, "the heap is open");
    check(info.blocks == THREADS, "a block for each thread");
    return info.chunks;
}

int main(void)
{
    pthread_t threads[THREADS];
    if (filz_mmap_open(&heap) != 0)
        return 0;
    for (int i = 0; i < THREADS; i++) {
        check(pthread_create(&threads[i], NULL, take_one, NULL) == 0, "a thread");
        check(pthread_join(threads[i], NULL) == 0, "its end");
    }
    size_t in_turn = chunks();
    check(in_turn == 1, "each thread has the tail of the last one's chunk");

    filz_mmap_reset(&heap);
    pthread_barrier_init(&all_have_one, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, take_one_and_stay, NULL) == 0, "a thread");
    for (int i = 0; i < THREADS; i++)
        check(pthread_join(threads[i], NULL) == 0, "its end");
    check(chunks() == THREADS, "no two threads have a chunk at the same time");

    printf("%d threads one after the other: %zu chunk; all at once: %zu\n", THREADS, in_turn, chunks());
    return filz_mmap_close(&heap);
}
