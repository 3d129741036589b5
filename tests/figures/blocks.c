/* Prints how many bytes a million blocks of 24 bytes use. */
#include <filz/mmap.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    static filz_mmap heap = {.capacity = (size_t)64 << 20};
    filz_mmap_info info;
    for (size_t i = 0; i < 1000000; i++)
        if (filz_mmap_alloc(&heap, 24, 8) == NULL)
            return EXIT_FAILURE;
    if (filz_mmap_stats(&heap, &info) != 0)
        return EXIT_FAILURE;
    printf("%zu\n", info.used);
    return filz_mmap_close(&heap);
}
