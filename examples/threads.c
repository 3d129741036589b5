/* Two threads on one heap: each fills blocks, and reads those of the other once both are done. */
#include <filz/mmap.h>
#include <pthread.h>
#include <stdio.h>

enum { BLOCKS = 100000 };

static filz_mmap heap = FILZ_MMAP_INIT;
static int *blocks[2][BLOCKS];

static void *fill(void *argument)
{
    int **mine = argument;
    for (int i = 0; i < BLOCKS; i++) {
        mine[i] = filz_mmap_alloc(&heap, sizeof(int), _Alignof(int));
        if (mine[i] == NULL)
            return argument;
        *mine[i] = i;
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[2];
    void *failed = NULL;
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, fill, blocks[i]) != 0)
            return 1;
    for (int i = 0; i < 2; i++) {
        void *result;
        pthread_join(threads[i], &result);
        if (result != NULL)
            failed = result;
    }
    if (failed != NULL) {
        fputs("threads: the heap is full\n", stderr);
        return 1;
    }

    int wrong = 0;
    for (int i = 0; i < BLOCKS; i++)
        wrong += *blocks[0][i] != i || *blocks[1][i] != i;
    filz_mmap_info info;
    if (filz_mmap_stats(&heap, &info) != 0)
        return 1;
    printf("%zu blocks by %zu threads, %d wrong\n", info.blocks, info.threads, wrong);
    return filz_mmap_close(&heap);
}
