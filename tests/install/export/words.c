/* A library of somebody else's, on filz. */
#include <filz.h>
#include <string.h>

size_t words_length(const char *text)
{
    filz_mmap heap = FILZ_MMAP_INIT;
    size_t size = strlen(text) + 1;
    char *copy = filz_mmap_alloc(&heap, size, 1);
    size_t length = copy != NULL ? strlen(memcpy(copy, text, size)) : 0;
    filz_mmap_close(&heap);
    return length;
}
