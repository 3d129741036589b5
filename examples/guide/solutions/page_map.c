/* Chapter 4, exercise 1: what each page of a heap is, as one letter: H the header, 1 to 9 used by this thread, - the
 * tail of a chunk, . free. */
#include <filz/mmap.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGES_MAX = 4096, ROW = 64 };

static void check(bool holds, const char *what)
{
    if (!holds) {
        printf("wrong: %s\n", what);
        exit(1);
    }
}

static char letter_of(unsigned char state)
{
    switch (state & FILZ_PAGE_KIND) {
    case FILZ_PAGE_FREE:
        return '.';
    case FILZ_PAGE_TAIL:
        return '-';
    default:
        return (char)(FILZ_PAGE_THREAD(state) == 0 ? 'H' : '0' + FILZ_PAGE_THREAD(state) % 10);
    }
}

int main(void)
{
    filz_mmap heap = FILZ_MMAP_INIT;
    for (int i = 0; i < 100; i++)
        check(filz_mmap_alloc(&heap, 1000, 8) != NULL, "a block");

    static unsigned char states[PAGES_MAX];
    size_t count = PAGES_MAX;
    check(filz_mmap_pages(&heap, 0, &count, states) == 0, "the heap is open");
    size_t kinds[FILZ_PAGE_KIND + 1] = {0};
    for (size_t i = 0; i < count; i++) {
        kinds[states[i] & FILZ_PAGE_KIND]++;
        putchar(letter_of(states[i]));
        if (i % ROW == ROW - 1 || i == count - 1)
            putchar('\n');
    }

    filz_mmap_info info;
    check(filz_mmap_stats(&heap, &info) == 0, "it still is");
    check(letter_of(states[0]) == 'H', "the first page is the header");
    check(count == info.committed / info.page_size, "a byte for each page of the file");
    check(kinds[FILZ_PAGE_FREE] == (info.committed - info.in_chunks) / info.page_size, "what isn't in a chunk is free");
    check(kinds[FILZ_PAGE_USED] * info.page_size >= info.used, "what is allocated is in used pages");
    check(kinds[FILZ_PAGE_USED] + kinds[FILZ_PAGE_TAIL] == info.in_chunks / info.page_size, "a chunk is used or tail");
    return filz_mmap_close(&heap);
}
