/* Lists of numbered nodes with checksums in a persistent heap. Nodes and tables never change once they are reached from
 * the root: what is wrong with one was done to it by the heap, the disk or the power cut. */
#ifndef FILZ_TESTS_POWER_LIST_H
#define FILZ_TESTS_POWER_LIST_H

#include <filz.h>
#include <stdint.h>

enum { LISTS = 4, TAG = 0x706F7765 };

/* The lists of a generation, which ends with a reset; no generation is number 0. */
struct lengths {
    uint64_t generation;
    uint64_t of[LISTS];
};

/* The oldest has number 1. */
struct node {
    uint64_t checksum; /* of all that follows */
    uint64_t generation, list, number;
    uint64_t size; /* of the payload, in bytes; a multiple of 8 */
    struct node *older;
    uint64_t payload[];
};

/* What the root points to. */
struct table {
    uint64_t checksum; /* of all that follows */
    struct lengths lengths;
    struct node *newest[LISTS];
};

filz_mmap list_heap(const char *path);

/* Makes a node of a block that has room for a payload of `size` bytes. */
void list_fill_node(struct node *node, uint64_t generation, uint64_t list, struct node *older, size_t size);

/* A node in a block of its own. */
struct node *list_new_node(filz_mmap *heap, uint64_t generation, uint64_t list, struct node *older, size_t size);

/* A table of the lists that these nodes are the newest of. */
struct table *list_new_table(filz_mmap *heap, uint64_t generation, struct node *const newest[LISTS]);

/* Walks all lists: NULL if each node is as it was made, else what is wrong. */
const char *list_wrong(const filz_mmap *heap, const struct table *table);

#endif
