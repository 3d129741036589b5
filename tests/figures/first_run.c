/* A program's first run, with all defaults. With any argument, the same with malloc. */
#include <filz/mmap.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    static filz_mmap heap = FILZ_MMAP_INIT;
    char *block = argc > 1 ? malloc(1000) : filz_mmap_alloc(&heap, 1000, 1);
    (void)argv;
    if (block == NULL)
        return EXIT_FAILURE;
    memset(block, 1, 1000);
    return EXIT_SUCCESS; /* with the heap open, as Rust programs end */
}
