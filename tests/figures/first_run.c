/* A program's first run, with all defaults. */
#include <filz/mmap.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    static filz_mmap heap = FILZ_MMAP_INIT;
    char *block = filz_mmap_alloc(&heap, 1000, 1);
    if (block == NULL)
        return EXIT_FAILURE;
    memset(block, 1, 1000);
    return EXIT_SUCCESS; /* with the heap open, as Rust programs end */
}
