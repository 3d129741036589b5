/* A linked list on its own heap. No node is freed: filz_mmap_reset ends them all at once. */
#include <filz/mmap.h>
#include <inttypes.h>
#include <stdio.h>

struct node {
    uint64_t value;
    struct node *next;
};

static struct node *push(filz_mmap *heap, struct node *head, uint64_t value)
{
    struct node *node = filz_mmap_alloc(heap, sizeof(*node), _Alignof(struct node));
    if (node != NULL)
        *node = (struct node){value, head};
    return node;
}

int main(void)
{
    filz_mmap heap = FILZ_MMAP_INIT;
    for (int round = 1; round <= 3; round++) {
        struct node *head = NULL;
        for (uint64_t value = 1; value <= 100000; value++)
            if ((head = push(&heap, head, value)) == NULL) {
                perror("list");
                return 1;
            }

        uint64_t sum = 0;
        for (const struct node *node = head; node != NULL; node = node->next)
            sum += node->value;
        filz_mmap_info info;
        if (filz_mmap_stats(&heap, &info) != 0)
            return 1;
        printf("round %d: sum %" PRIu64 ", %zu nodes\n", round, sum, info.blocks);
        filz_mmap_reset(&heap); /* can't fail: the heap was never synced */
    }
    return filz_mmap_close(&heap);
}
