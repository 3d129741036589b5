/* What a program of tests/disks says and does when something isn't so. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);                  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)
