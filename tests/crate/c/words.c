/* C code in a Rust crate, on the library that the crate filz brings. */
#include <filz.h>
#include <string.h>

/* A copy in the heap, or NULL. */
char *words_copy(filz_mmap *heap, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = filz_mmap_alloc(heap, size, 1);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}
