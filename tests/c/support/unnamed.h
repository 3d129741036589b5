/* Finds the file of a heap that has no name, without a look inside the library. */
#ifndef FILZ_TESTS_UNNAMED_H
#define FILZ_TESTS_UNNAMED_H

#include "support.h"

enum { MOST_DESCRIPTORS = 256 };

/* Which descriptors of this process are of unnamed regular files. */
struct unnamed_files {
    bool open[MOST_DESCRIPTORS];
};

static bool is_unnamed(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 0;
}

MAYBE_UNUSED static struct unnamed_files unnamed_files_now(void)
{
    struct unnamed_files now;
    for (int fd = 0; fd < MOST_DESCRIPTORS; fd++)
        now.open[fd] = is_unnamed(fd);
    return now;
}

/* The descriptor of an unnamed file that wasn't open before; -1 if there is none. */
MAYBE_UNUSED static int new_unnamed_file(const struct unnamed_files *before)
{
    for (int fd = 0; fd < MOST_DESCRIPTORS; fd++)
        if (is_unnamed(fd) && !before->open[fd])
            return fd;
    return -1;
}

#endif
