/* A heap of each kind of file: with a path; in FILZ_DIR, the first one and the second; and unnamed. */
#ifndef FILZ_TESTS_EACH_KIND_H
#define FILZ_TESTS_EACH_KIND_H

#include "support.h"

enum { BY_PATH, IN_DIRECTORY, SECOND_IN_DIRECTORY, UNNAMED, KINDS };

struct each_kind {
    filz_mmap heaps[KINDS];
    char *blocks[KINDS]; /* a MiB of 'b' each */
};

/* In the working directory, which any user may enter then. */
static int set_up_directory(void)
{
    EXPECT(mkdir("directory", 0700) == 0 && chmod(".", 0755) == 0);
    EXPECT(setenv("FILZ_DIR", "directory", 1) == 0);
    return 0;
}

static int open_each_kind(struct each_kind *each)
{
    each->heaps[BY_PATH] = (filz_mmap){.path = "named.filz", .capacity = 128 * MIB};
    for (size_t i = IN_DIRECTORY; i < KINDS; i++)
        each->heaps[i] = (filz_mmap){.capacity = 128 * MIB};
    for (size_t i = 0; i < KINDS; i++) {
        if (i == UNNAMED)
            unsetenv("FILZ_DIR");
        each->blocks[i] = filz_mmap_alloc(&each->heaps[i], MIB, 1);
        EXPECT(each->blocks[i]);
        memset(each->blocks[i], 'b', MIB);
    }
    return 0;
}

#endif
