/* What is mapped into this process. */
#ifndef FILZ_TESTS_MAPPINGS_H
#define FILZ_TESTS_MAPPINGS_H

#include "support.h"

#include <sys/mman.h>

struct mappings {
    int count;
    unsigned long long bytes;
};

/* An emulator lists those of the program here, and not its own. */
MAYBE_UNUSED static struct mappings mappings_now(void)
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

/* The heap's mappings that can be read, or the one that begins at `page`: how many have the mark `mark` among the
 * VmFlags in /proc/self/smaps, and how many don't. An emulator's are its own. */
struct marks {
    size_t with, without;
};

MAYBE_UNUSED static struct marks marks_of(const filz_mmap *heap, const void *page, const char *mark)
{
    struct marks marks = {0, 0};
    char line[4096], word[8];
    bool is_ours = false;
    snprintf(word, sizeof(word), " %s ", mark);
    FILE *file = fopen("/proc/self/smaps", "r");
    while (file && fgets(line, sizeof(line), file)) {
        unsigned long long from, to;
        if (sscanf(line, "%llx-%llx", &from, &to) == 2)
            is_ours = (uintptr_t)from == (uintptr_t)page || filz_mmap_owns(heap, (void *)(uintptr_t)from);
        else if (is_ours && strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " rd "))
            *(strstr(line, word) ? &marks.with : &marks.without) += 1;
    }
    if (file)
        fclose(file);
    return marks;
}

/* Whether this advice of madvise(2) is seen as that mark. */
MAYBE_UNUSED static bool kernel_marks(int advice, const char *mark)
{
    filz_mmap closed = FILZ_MMAP_INIT;
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool is_marked = madvise(page, size, advice) == 0 && marks_of(&closed, page, mark).with == 1;
    munmap(page, size);
    return is_marked;
}

#endif
