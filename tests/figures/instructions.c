/* 100,000 blocks of 16 to 79 bytes: the run that callgrind counts. */
#include <filz/mmap.h>
#include <stdlib.h>

int main(void)
{
    static filz_mmap heap = {.capacity = (size_t)64 << 20};
    if (filz_mmap_open(&heap) != 0)
        return EXIT_FAILURE;
    for (size_t i = 0; i < 100000; i++)
        if (filz_mmap_alloc(&heap, 16 + i % 64, 8) == NULL)
            return EXIT_FAILURE;
    return filz_mmap_close(&heap);
}
