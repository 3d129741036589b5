/* What the tests of fork share. */
#ifndef FILZ_TESTS_FORKS_H
#define FILZ_TESTS_FORKS_H

#include "support.h"

#include "../../../c/heap.h"

#include <sys/resource.h>

#if defined(__SANITIZE_THREAD__)
#define SANITIZED_FOR_THREADS true
#elif defined(__has_feature)
#define SANITIZED_FOR_THREADS __has_feature(thread_sanitizer)
#else
#define SANITIZED_FOR_THREADS false
#endif

/* How a child comes to its heap. */
enum way { BY_COPY, PRIVATELY, WITHOUT_ROOM, WAYS };

MAYBE_UNUSED static void limit_file_size(rlim_t most)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* begin_child. Without room, no file may get longer than a byte, the copy neither. */
MAYBE_UNUSED static pid_t begin_child_with(enum way way, int (*body)(void *), void *context)
{
    setenv("FILZ_FORK", way == PRIVATELY ? "private" : "copy", 1);
    if (way == WITHOUT_ROOM)
        limit_file_size(1);
    pid_t child = begin_child(body, context);
    limit_file_size(RLIM_INFINITY);
    return child;
}

/* In the child: its heap has no name, and grows in anonymous memory if it isn't a copy. */
MAYBE_UNUSED static int heap_came(enum way way, const filz_mmap *heap)
{
    filz_mmap_info info;
    EXPECT(filz_mmap_stats(heap, &info) == 0);
    EXPECT(info.path == NULL);
    EXPECT(heap->heap->backing.growth == (way == BY_COPY ? FZ_SHARED_FILE : FZ_PRIVATE));
    return 0;
}

static int has_private_heap(void *heap)
{
    _exit(((filz_mmap *)heap)->heap->backing.growth == FZ_PRIVATE);
}

/* Whether a child that is forked now has its heap as a private copy; -1 if there is no heap. */
MAYBE_UNUSED static int child_of_fork_has_private_heap(void)
{
    filz_mmap heap = {.capacity = 8 * MIB};
    if (filz_mmap_alloc(&heap, 1000, 1) == NULL)
        return -1;
    int answer = in_child(has_private_heap, &heap);
    filz_mmap_close(&heap);
    return answer;
}

#endif
