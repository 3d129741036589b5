/* What the library says on standard error: the line about a heap that can't be opened. */
#ifndef FILZ_TESTS_STANDARD_ERROR_H
#define FILZ_TESTS_STANDARD_ERROR_H

#include "support.h"

/* From now on, standard error goes to the file `said`. */
MAYBE_UNUSED static int listen_to_standard_error(void)
{
    int fd = open("said", O_RDWR | O_CREAT | O_TRUNC, 0600);
    return fd >= 0 && dup2(fd, STDERR_FILENO) >= 0 && close(fd) == 0 ? 0 : -1;
}

MAYBE_UNUSED static bool is_one_line(const char *text)
{
    const char *end = strchr(text, '\n');
    return end != NULL && end[1] == '\0';
}

/* Allocates three times from a heap that can't be opened. For a child: its standard error goes to `said`. */
MAYBE_UNUSED static int fail_to_open(void *path)
{
    filz_mmap heap = {.path = path, .capacity = MIB};
    if (listen_to_standard_error() != 0)
        return 1;
    for (size_t i = 0; i < 3; i++) {
        errno = 0;
        if (filz_mmap_alloc(&heap, 100, 1) != NULL || errno != ENOMEM)
            return 2;
    }
    return 0;
}

#endif
