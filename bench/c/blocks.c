/* Small blocks, each touched and none freed. */
#include "bench.h"

#include <pthread.h>

static void *allocate(void *count)
{
    for (size_t i = 0; i < *(size_t *)count; i++)
        bench_touch(bench_alloc(bench_small_size(i), 8));
    return NULL;
}

void bench_blocks(char **arguments)
{
    size_t threads = bench_number(arguments[1]);
    size_t each = bench_number(arguments[0]) / threads;
    pthread_t others[64];
    if (threads > sizeof(others) / sizeof(others[0]))
        bench_fail("too many threads");
    for (size_t i = 1; i < threads; i++)
        if (pthread_create(&others[i], NULL, allocate, &each) != 0)
            bench_fail("no thread");
    allocate(&each);
    for (size_t i = 1; i < threads; i++)
        pthread_join(others[i], NULL);
}
