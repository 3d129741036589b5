/* The heaps that each test of both allocators' contract runs on. Without an mmap allocator, that is one. */
#ifndef FILZ_TESTS_CONTRACT_H
#define FILZ_TESTS_CONTRACT_H

#include "support.h"

#define CAPACITY (8 * MIB)

static int open_stack(void **state)
{
    *state = new_stack_heap(CAPACITY);
    return 0;
}

static int close_stack(void **state)
{
    free_heap(*state);
    return 0;
}

#define ON_STACK(test)                                                                                                 \
    {                                                                                                                  \
        "stack: " #test, test, open_stack, close_stack, NULL                                                           \
    }

#ifdef FILZ_HAS_MMAP
static int open_mmap(void **state)
{
    if (enter_fresh_directory(state) != 0)
        return -1;
    *state = new_mmap_heap(CAPACITY);
    return 0;
}

static int close_mmap(void **state)
{
    free_heap(*state);
    return leave_fresh_directory(state);
}

/* -- A heap among others: each call finds that the thread has used another one last ---------------------------------
 */

static filz_mmap other_heaps[7];

static void use_others(void)
{
    int errno_before = errno;
    for (size_t i = 0; i < COUNT(other_heaps); i++)
        if (filz_mmap_alloc(&other_heaps[i], 1, 1) == NULL)
            filz_mmap_reset(&other_heaps[i]);
    errno = errno_before;
}

MAYBE_UNUSED static int open_among_others(void **state)
{
    if (open_mmap(state) != 0)
        return -1;
    for (size_t i = 0; i < COUNT(other_heaps); i++)
        other_heaps[i] = (filz_mmap){.capacity = MIB};
    ((struct heap *)*state)->meanwhile = use_others;
    return 0;
}

MAYBE_UNUSED static int close_among_others(void **state)
{
    for (size_t i = 0; i < COUNT(other_heaps); i++)
        assert_int_equal(filz_mmap_close(&other_heaps[i]), 0);
    return close_mmap(state);
}

#define ON_MMAP(test)                                                                                                  \
    {                                                                                                                  \
        "mmap: " #test, test, open_mmap, close_mmap, NULL                                                              \
    }
#define ON_MMAP_AMONG_OTHERS(test)                                                                                     \
    {                                                                                                                  \
        "mmap among others: " #test, test, open_among_others, close_among_others, NULL                                 \
    }
#define ON_BOTH(test) ON_STACK(test), ON_MMAP(test)
#define ON_ALL(test) ON_BOTH(test), ON_MMAP_AMONG_OTHERS(test)
#else
#define ON_ALL(test) ON_STACK(test)
#endif

#endif
