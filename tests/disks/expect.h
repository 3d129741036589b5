/* What a program of tests/disks or tests/power says and does when something isn't so, and how long it waits. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATIENCE = 3600 }; /* seconds, as in tests/c/support/children.h */

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);                  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)
