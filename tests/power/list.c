#include "list.h"
#include "../disks/expect.h"

#include <stdbool.h>

enum { ALIGN = 16, CAPACITY = 256 << 20, MOST_PAYLOAD = 16 << 20 };

filz_mmap list_heap(const char *path)
{
    return (filz_mmap){.path = path, .capacity = CAPACITY, .flags = FILZ_MMAP_PERSISTENT, .tag = TAG};
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9E3779B97F4A7C15;
    return hash ^ hash >> 29;
}

/* Of the whole words between `start` and `end`. */
static uint64_t checksum(const void *start, const void *end)
{
    uint64_t hash = 1;
    for (const uint64_t *word = start; word < (const uint64_t *)end; word++)
        hash = mix(hash, *word);
    return hash;
}

static uint64_t checksum_of_node(const struct node *node)
{
    return checksum(&node->generation, node->payload + node->size / 8);
}

void list_fill_node(struct node *node, uint64_t generation, uint64_t list, struct node *older, size_t size)
{
    uint64_t number = older == NULL ? 1 : older->number + 1;
    *node = (struct node){.generation = generation, .list = list, .number = number, .size = size, .older = older};
    for (size_t i = 0; i < size / 8; i++)
        node->payload[i] = mix(generation << 32 | list << 24 | number, i);
    node->checksum = checksum_of_node(node);
}

struct node *list_new_node(filz_mmap *heap, uint64_t generation, uint64_t list, struct node *older, size_t size)
{
    struct node *node = filz_mmap_alloc(heap, sizeof(*node) + size, ALIGN);
    EXPECT(node != NULL);
    list_fill_node(node, generation, list, older, size);
    return node;
}

struct table *list_new_table(filz_mmap *heap, uint64_t generation, struct node *const newest[LISTS])
{
    struct table *table = filz_mmap_alloc(heap, sizeof(*table), ALIGN);
    EXPECT(table != NULL);
    table->lengths.generation = generation;
    for (int list = 0; list < LISTS; list++) {
        table->newest[list] = newest[list];
        table->lengths.of[list] = newest[list] == NULL ? 0 : newest[list]->number;
    }
    table->checksum = checksum(&table->lengths, table + 1);
    return table;
}

/* -- Checks -------------------------------------------------------------------------------------------------------- */

static bool is_in_heap(const filz_mmap *heap, const void *start, size_t size)
{
    return (uintptr_t)start % 8 == 0 && filz_mmap_owns(heap, start) &&
           filz_mmap_owns(heap, (const char *)start + size - 1);
}

static const char *wrong_with_node(const filz_mmap *heap, const struct node *node)
{
    if (!is_in_heap(heap, node, sizeof(*node)))
        return "isn't in the heap";
    if (node->size > MOST_PAYLOAD || node->size % 8 != 0 || !is_in_heap(heap, node, sizeof(*node) + node->size))
        return "has a wrong size";
    if (node->checksum != checksum_of_node(node))
        return "has a wrong checksum";
    return NULL;
}

static const char *wrong_with_list(const filz_mmap *heap, const struct table *table, uint64_t list)
{
    static char text[100];
    const struct node *node = table->newest[list];
    for (uint64_t number = table->lengths.of[list]; number > 0; number--) {
        const char *wrong = wrong_with_node(heap, node);
        if (wrong == NULL && (node->number != number || node->list != list))
            wrong = "is another node";
        if (wrong == NULL && node->generation != table->lengths.generation)
            wrong = "is of another generation";
        if (wrong != NULL) {
            snprintf(text, sizeof(text), "node %ju of list %ju, which has %ju, %s", (uintmax_t)number, (uintmax_t)list,
                     (uintmax_t)table->lengths.of[list], wrong);
            return text;
        }
        node = node->older;
    }
    return node == NULL ? NULL : "a list goes on after its oldest node";
}

const char *list_wrong(const filz_mmap *heap, const struct table *table)
{
    if (!is_in_heap(heap, table, sizeof(*table)))
        return "the root isn't in the heap";
    if (table->checksum != checksum(&table->lengths, table + 1))
        return "the table at the root has a wrong checksum";
    for (uint64_t list = 0; list < LISTS; list++) {
        const char *wrong = wrong_with_list(heap, table, list);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}
