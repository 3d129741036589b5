/* What the tests with threads share. Asserts are for the main thread; the others return what is wrong, or count it. */
#ifndef FILZ_TESTS_THREADS_H
#define FILZ_TESTS_THREADS_H

#include "support.h"

#include <sched.h>

MAYBE_UNUSED static void *in_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, body, argument), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    return result;
}

enum { MOST_THREADS = 256 };

/* Runs `body` in `count` threads at once, each with an argument of its own out of an array of `size` bytes each. Their
 * stacks are small, so that 32 bits have room for them all. */
MAYBE_UNUSED static void in_threads(size_t count, void *(*body)(void *), void *arguments, size_t size)
{
    static pthread_t threads[MOST_THREADS];
    pthread_attr_t attributes;
    assert_true(count <= MOST_THREADS);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, 256 * KIB), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], &attributes, body, (char *)arguments + i * size), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(pthread_attr_destroy(&attributes), 0);
}

MAYBE_UNUSED static void *allocate_100_bytes(void *heap)
{
    char *block = heap_alloc(heap, 100, 1);
    if (block)
        memset(block, 1, 100);
    return block;
}

/* What is carved into chunks and neither allocated nor a header. */
MAYBE_UNUSED static size_t waste_of(const filz_mmap *heap)
{
    filz_mmap_info info = stats_of(heap);
    return info.in_chunks - info.used;
}

/* Of a thread's first chunk. */
MAYBE_UNUSED static size_t chunk_size(const filz_mmap *heap)
{
    return 4 * stats_of(heap).page_size;
}

#endif
