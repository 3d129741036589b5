/* Chapter 11, exercise 3: a root that is set before its node is written. The heap is in order, so filz has nothing to
 * say; but what the program meant is lost: the new node is zero, and leads nowhere. */
#include <filz/mmap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NODES = 100 };

struct node {
    struct node *before;
    int number;
};

static filz_mmap heap = {.path = "early_root.filz", .flags = FILZ_MMAP_PERSISTENT, .tag = 1};

static void check(int is_well, const char *what)
{
    if (is_well)
        return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

static struct node *allocate(void)
{
    struct node *node = filz_mmap_alloc(&heap, sizeof(*node), _Alignof(struct node));
    check(node != NULL, "there is room");
    return node;
}

static void push_and_die(void)
{
    check(filz_mmap_open(&heap) == 0, "opened");
    for (int i = 1; i <= NODES; i++) {
        struct node *node = allocate();
        *node = (struct node){filz_mmap_root(&heap), i};
        filz_mmap_set_root(&heap, node);
    }
    struct node *before = filz_mmap_root(&heap);
    struct node *node = allocate();
    filz_mmap_set_root(&heap, node);
    raise(SIGKILL);
    *node = (struct node){before, NODES + 1};
}

int main(void)
{
    int status;
    remove(heap.path);
    pid_t child = fork();
    if (child == 0)
        push_and_die();
    check(child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status), "a child ran and was killed");

    check(filz_mmap_open(&heap) == 0, "the heap is in order");
    filz_mmap_info info;
    filz_mmap_stats(&heap, &info);
    check(info.blocks == NODES + 1, "all blocks are there");
    size_t nodes = 0;
    for (const struct node *node = filz_mmap_root(&heap); node != NULL; node = node->before)
        nodes++;
    check(nodes == 1, "but of the list only the node that was never written");
    printf("%zu blocks, and a list of %zu\n", info.blocks, nodes);
    filz_mmap_close(&heap);
    return remove(heap.path);
}
