/* A list in a heap that outlives its program. Each run finds the nodes of the runs before it and adds 1,000 to them;
 * the first two runs are killed while they hold a block that isn't in the list yet.
 *
 *     keeping         three runs, on a file that is removed afterwards
 *     keeping FILE    one run, on a file that stays */
#include <filz/mmap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is in the heap. Change the tag when this changes. */
#define TAG 0x6b656570

struct node {
    struct node *before;
    int run;
    char text[48];
};

static filz_mmap heap = {.flags = FILZ_MMAP_PERSISTENT, .tag = TAG};

static void *allocate(size_t size, size_t align)
{
    void *block = filz_mmap_alloc(&heap, size, align);
    if (block != NULL)
        return block;
    perror("keeping");
    exit(1);
}

/* A node that is whole, but not in the list yet. */
static struct node *make_node(int run)
{
    struct node *node = allocate(sizeof(*node), _Alignof(struct node));
    node->before = filz_mmap_root(&heap);
    node->run = run;
    snprintf(node->text, sizeof(node->text), "written by run %d", run);
    return node;
}

/* One letter a page: the header, the last run with a node there, the tail of a chunk, not yet carved into a chunk. */
static void print_pages(void)
{
    filz_mmap_info info;
    if (filz_mmap_stats(&heap, &info) != 0)
        exit(1);
    size_t pages = info.committed / info.page_size;
    unsigned char *states = malloc(pages);
    char *letters = malloc(pages + 1);
    if (states == NULL || letters == NULL || filz_mmap_pages(&heap, 0, &pages, states) != 0)
        exit(1);
    for (size_t i = 0; i < pages; i++)
        letters[i] = "-?."[states[i] & FILZ_PAGE_KIND];
    letters[0] = 'h';
    letters[pages] = '\0';
    const struct node *oldest = filz_mmap_root(&heap), *node;
    while (oldest->before != NULL)
        oldest = oldest->before;
    for (node = filz_mmap_root(&heap); node != NULL; node = node->before) {
        /* The oldest one is in page 1, the first chunk's first. */
        size_t page = 1 + (uintptr_t)node / info.page_size - (uintptr_t)oldest / info.page_size;
        if (letters[page] == '?')
            letters[page] = (char)('0' + node->run % 10);
    }
    printf("  pages   %s\n", letters);
    free(states);
    free(letters);
}

static void look(int *run)
{
    filz_mmap_info info;
    size_t nodes = 0;
    const struct node *newest = filz_mmap_root(&heap), *node;
    for (node = newest; node != NULL; node = node->before)
        nodes++;
    *run = newest != NULL ? newest->run + 1 : 1;
    if (filz_mmap_stats(&heap, &info) != 0)
        exit(1);
    printf("run %d found %zu nodes, %zu blocks", *run, nodes, info.blocks);
    printf(newest != NULL ? "; the newest was %s\n" : "\n", newest != NULL ? newest->text : "");
}

/* In a separate process. */
static void one_run(void)
{
    int run, error = filz_mmap_open(&heap);
    if (error != 0) {
        printf("%s: %s\n", heap.path, filz_error_text(error));
        exit(1);
    }
    look(&run);
    for (int i = 0; i < 1000; i++) {
        struct node *node = make_node(run);
        filz_mmap_set_root(&heap, node);
    }
    print_pages();
    fflush(stdout);
    if (run <= 2) {
        make_node(run);
        raise(SIGKILL);
    }
    filz_mmap_close(&heap);
    exit(0);
}

static void start_run(void)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        one_run();
    if (child < 0 || waitpid(child, &status, 0) != child)
        exit(1);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        exit(1);
    puts(WIFSIGNALED(status) ? "  killed, with a block in hand" : "  closed the heap");
}

int main(int argc, char **argv)
{
    heap.path = argc > 1 ? argv[1] : "keeping.filz";
    if (argc > 1) {
        start_run();
        return 0;
    }
    remove(heap.path);
    for (int i = 0; i < 3; i++)
        start_run();
    return remove(heap.path);
}
