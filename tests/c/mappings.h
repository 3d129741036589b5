/* What is mapped into this process. */
#ifndef FILZ_TESTS_MAPPINGS_H
#define FILZ_TESTS_MAPPINGS_H

#include "support.h"

struct mappings {
    int count;
    unsigned long long bytes;
};

/* An emulator lists those of the program here, and not its own. */
static struct mappings mappings_now(void)
{
    static char line[PATH_MAX + 100];
    struct mappings mappings = {0};
    unsigned long long start, end;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%llx-%llx", &start, &end) == 2)
            mappings.bytes += end - start;
        mappings.count++;
    }
    fclose(maps);
    return mappings;
}

#endif
