/* Prints how many bytes are in chunks when 10,000 threads have allocated 100 bytes each and ended, up to 16 of them at
 * a time. */
#include <filz/mmap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 10000, AT_A_TIME = 16 };

static filz_mmap heap = {.capacity = (size_t)512 << 20};

static void *allocate(void *unused)
{
    (void)unused;
    char *block = filz_mmap_alloc(&heap, 100, 1);
    return block ? memset(block, 1, 100) : NULL;
}

int main(void)
{
    pthread_t threads[AT_A_TIME];
    filz_mmap_info info;
    for (size_t done = 0; done < THREADS; done += AT_A_TIME) {
        for (size_t i = 0; i < AT_A_TIME; i++)
            if (pthread_create(&threads[i], NULL, allocate, NULL) != 0)
                return EXIT_FAILURE;
        for (size_t i = 0; i < AT_A_TIME; i++) {
            void *block;
            if (pthread_join(threads[i], &block) != 0 || block == NULL)
                return EXIT_FAILURE;
        }
    }
    if (filz_mmap_stats(&heap, &info) != 0 || info.blocks != THREADS)
        return EXIT_FAILURE;
    printf("%zu\n", info.in_chunks);
    return filz_mmap_close(&heap);
}
