/* What the tests with the libraries share. Each has a workload, `run`, which knows what must come out of it. It gets
 * its memory from filz or from malloc, as `use` says, and must give the right answers, or say that memory ran out. */
#ifndef FILZ_TESTS_LIBRARY_H
#define FILZ_TESTS_LIBRARY_H

#include "support.h"

#include <filz/hooks.h>

static filz_mmap heap;
FILZ_HOOKS(hook, &heap)

enum { GIB_OR_LESS = sizeof(size_t) == 4 ? 256 << 20 : 1 << 30 };

/* The answer of a workload that has noticed that memory ran out. NULL is the answer if all was right. */
static const char out_of_memory[] = "out of memory";

/* -- malloc, with a count of the bytes that are allocated, as glibc takes them --------------------------------------
 */

static size_t counted_now, counted_peak;

static size_t counted_bytes(size_t size)
{
    size_t bytes = (size + 8 + 15) / 16 * 16;
    return bytes < 32 ? 32 : bytes;
}

/* The size stands before each block, and isn't counted. */
MAYBE_UNUSED static void *counted_malloc(size_t size)
{
    size_t *block = size < SIZE_MAX - 16 ? malloc(size + 16) : NULL;
    if (block == NULL)
        return NULL;
    *block = size;
    counted_now += counted_bytes(size);
    if (counted_peak < counted_now)
        counted_peak = counted_now;
    return (char *)block + 16;
}

MAYBE_UNUSED static size_t counted_size(const void *block)
{
    return *(const size_t *)(const void *)((const char *)block - 16);
}

MAYBE_UNUSED static void counted_free(void *block)
{
    if (block == NULL)
        return;
    counted_now -= counted_bytes(counted_size(block));
    free((char *)block - 16);
}

/* glibc's realloc grows most blocks where they stand: old and new never are there together. */
MAYBE_UNUSED static void *counted_realloc(void *block, size_t size)
{
    if (block == NULL)
        return counted_malloc(size);
    if (size == 0) {
        counted_free(block);
        return NULL;
    }
    size_t old_size = counted_size(block);
    size_t *moved = realloc((char *)block - 16, size + 16);
    if (moved == NULL)
        return NULL;
    *moved = size;
    counted_now = counted_now - counted_bytes(old_size) + counted_bytes(size);
    if (counted_peak < counted_now)
        counted_peak = counted_now;
    return (char *)moved + 16;
}

MAYBE_UNUSED static char *counted_strdup(const char *text)
{
    char *copy = counted_malloc(strlen(text) + 1);
    return copy != NULL ? strcpy(copy, text) : NULL;
}

/* -- The tests -------------------------------------------------------------------------------------------------------
 */

enum source { FILZ, MALLOC };

static void use(enum source source);

static const char *run(void);

static void open_heap(size_t capacity)
{
    heap = (filz_mmap){.capacity = capacity};
    assert_int_equal(filz_mmap_open(&heap), 0);
}

static void close_heap(void)
{
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void expect_right(const char *answer)
{
    if (answer != NULL)
        fail_msg("%s", answer);
}

static void all_answers_are_right_and_all_the_memory_is_the_heaps(void **state)
{
    (void)state;
    open_heap(GIB_OR_LESS);
    use(FILZ);
    for (int round = 0; round < 2; round++) {
        size_t before = stats_of(&heap).used;
        expect_right(run());
        assert_true(stats_of(&heap).used > before + 10000);
        assert_int_equal(filz_mmap_reset(&heap), 0);
    }
    close_heap();
}

/* What the library has allocated is given up by a reset, after it has said that memory ran out. */
static void a_heap_of_any_capacity_is_enough_or_the_library_says_that_it_is_not(void **state)
{
    (void)state;
    size_t enough = 0, too_small = 0;
    use(FILZ);
    for (size_t capacity = 8 * KIB; enough < 2; capacity += capacity / 8 / KIB * KIB + 4 * KIB) {
        open_heap(capacity);
        const char *answer = run();
        close_heap();
        if (answer == out_of_memory) {
            too_small++;
            continue;
        }
        expect_right(answer);
        enough++;
    }
    assert_true(too_small > 10);
    print_message(LIBRARY ": %zu capacities were too small, %zu enough\n", too_small, enough);
}

/* For docs/hooks.md. */
static void as_many_bytes_as_are_printed(void **state)
{
    (void)state;
    counted_now = counted_peak = 0;
    use(MALLOC);
    expect_right(run());
    assert_int_equal(counted_now, 0);
    assert_true(counted_peak > 10000);
    open_heap(GIB_OR_LESS);
    use(FILZ);
    expect_right(run());
    filz_mmap_info info = stats_of(&heap);
    print_message(LIBRARY ": %zu bytes in %zu blocks on filz, at most %zu bytes at a time by malloc\n", info.used,
                  info.blocks, counted_peak);
    close_heap();
}

#define LIBRARY_TESTS                                                                                                  \
    cmocka_unit_test(all_answers_are_right_and_all_the_memory_is_the_heaps),                                           \
        cmocka_unit_test(a_heap_of_any_capacity_is_enough_or_the_library_says_that_it_is_not),                         \
        cmocka_unit_test(as_many_bytes_as_are_printed)

#endif
