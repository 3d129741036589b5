/* Makes a golden heap file: `golden PATH`, or `golden PATH kill` for one that isn't closed. A list of 15 nodes, the
 * newest first: ten of the main thread, which a checkpoint has, and five of another thread. */
#include <filz/mmap.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>

struct node {
    struct node *older;
    uint32_t number;
};

enum { SYNCED = 10, ALL = 15 };

static filz_mmap heap = {.flags = FILZ_MMAP_PERSISTENT, .tag = 0x60D, .capacity = 8 * 4096};

static int add(uint32_t number)
{
    struct node *node = filz_mmap_alloc(&heap, sizeof(*node), _Alignof(struct node));
    if (node == NULL)
        return 1;
    node->older = filz_mmap_root(&heap);
    node->number = number;
    return filz_mmap_set_root(&heap, node);
}

static void *add_others(void *failed)
{
    for (uint32_t number = SYNCED + 1; number <= ALL; number++)
        if (add(number) != 0)
            return failed;
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t other;
    void *failed = argv;
    if (argc < 2)
        return 2;
    heap.path = argv[1];
    for (uint32_t number = 1; number <= SYNCED; number++)
        if (add(number) != 0)
            return 1;
    if (filz_mmap_sync(&heap) != 0 || pthread_create(&other, NULL, add_others, failed) != 0 ||
        pthread_join(other, &failed) != 0 || failed != NULL)
        return 1;
    if (argc > 2)
        raise(SIGKILL);
    return filz_mmap_close(&heap);
}
