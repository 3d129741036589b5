/* What a program does with descriptors around its heaps: it closes them all, or has no more. */
#ifndef FILZ_TESTS_DESCRIPTORS_H
#define FILZ_TESTS_DESCRIPTORS_H

#include "support.h"

#include <sys/resource.h>

/* All but the three that every program has, below `end`: the heap's too. */
MAYBE_UNUSED static void close_descriptors(int end)
{
    for (int fd = 3; fd < end; fd++)
        close(fd);
}

MAYBE_UNUSED static bool limit_descriptors(rlim_t most)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < most)
        return false;
    limit.rlim_cur = most;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* Opens descriptors until 64 are open, the most from then on. */
MAYBE_UNUSED static bool use_up_descriptors(void)
{
    if (!limit_descriptors(64))
        return false;
    while (dup(STDERR_FILENO) >= 0)
        continue;
    /* valgrind, which has limits of its own, lets the system make the file. */
    return open("one-too-many", O_RDWR | O_CREAT, 0600) < 0 && errno == EMFILE && unlink("one-too-many") != 0;
}

#endif
