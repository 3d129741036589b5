/* Chapter 11, exercise 2: reading a heap file without libfilz, mapped wherever the kernel likes. Chunks are found by
 * their offsets. The header says where the heap was mapped, so an address in it is an offset, too. */
#include <fcntl.h>
#include <filz/mmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format.h"

enum { NODES = 5000 };

struct node {
    struct node *before;
    int number;
};

static const char path[] = "walk_file.filz";

static void check(int is_well, const char *what)
{
    if (is_well)
        return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

static void write_list(void)
{
    filz_mmap heap = {.path = path, .flags = FILZ_MMAP_PERSISTENT, .tag = 1};
    struct node *newest = NULL;
    for (int i = 1; i <= NODES; i++) {
        struct node *node = filz_mmap_alloc(&heap, sizeof(*node), _Alignof(struct node));
        check(node != NULL, "there is room");
        *node = (struct node){newest, i};
        newest = node;
    }
    check(filz_mmap_set_root(&heap, newest) == 0, "root");
    filz_mmap_close(&heap);
}

/* The header is the first thing in the file. */
static const void *at(const struct fz_header *header, uint64_t offset)
{
    return (const char *)header + (size_t)offset;
}

static size_t count_blocks(const struct fz_header *header)
{
    size_t blocks = 0;
    for (uint64_t offset = header->page_size; offset < header->cursor;) {
        const struct fz_chunk *chunk = at(header, offset);
        blocks += (size_t)chunk->blocks;
        offset += chunk->size;
    }
    return blocks;
}

static size_t count_nodes(const struct fz_header *header)
{
    size_t nodes = 0;
    for (uint64_t address = header->root; address != 0; nodes++) {
        const struct node *node = at(header, address - header->base);
        check(node->number == NODES - (int)nodes, "the list is in order");
        address = (uintptr_t)node->before;
    }
    return nodes;
}

int main(void)
{
    struct stat status;
    remove(path);
    write_list();
    int fd = open(path, O_RDONLY);
    check(fd >= 0 && fstat(fd, &status) == 0, "opened");
    const struct fz_header *header = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    check(header != MAP_FAILED && memcmp(header->magic, FZ_MAGIC, FZ_MAGIC_SIZE) == 0, "mapped");
    check((uintptr_t)header != header->base, "not where the heap was");
    check(count_blocks(header) == NODES && count_nodes(header) == NODES, "all is there");
    printf("%d nodes in %d blocks, at another address\n", NODES, NODES);
    close(fd);
    return remove(path);
}
