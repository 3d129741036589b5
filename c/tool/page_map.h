/* A map of a heap file's pages, reduced to as many cells as can be shown. However large the file, the map takes memory
 * only for its cells, and reading it takes time in the number of chunks and of pages that hold data. */
#ifndef FILZ_TOOL_PAGE_MAP_H
#define FILZ_TOOL_PAGE_MAP_H

#include "reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kind of a page, as in <filz/mmap.h>: at least one byte allocated, or a header; in the unused tail of a chunk; not
 * yet carved into a chunk. And in a damaged file, not reached by the walk. */
enum page_kind { PAGE_USED, PAGE_TAIL, PAGE_FREE, PAGE_UNKNOWN, PAGE_KINDS };

/* The threads with the most bytes each have a colour, from 1 on; all others share one. Colour 0 is no thread's. */
enum { MAP_THREADS = 8, MAP_OTHERS = MAP_THREADS + 1, MAP_COLOURS };

/* A run of pages. */
struct page_cell {
    uint64_t pages[PAGE_KINDS];
    uint64_t in_ram[PAGE_KINDS];
    unsigned owner; /* the thread that has the most of them; 0: none */
};

/* The look of a cell: that of most of its pages. */
struct cell_look {
    enum page_kind kind;
    bool in_ram;
    int colour;
};

struct thread_share {
    unsigned thread; /* 0: none */
    uint64_t bytes;  /* allocated in its chunks, with their headers */
};

struct page_map {
    size_t most_cells;
    struct page_cell *cells;
    struct thread_share *threads; /* a table by number */

    size_t count;                            /* of cells */
    uint64_t per_cell;                       /* pages, in the last one perhaps fewer */
    uint64_t pages;                          /* of the file */
    uint64_t page_size;                      /* bytes */
    struct page_cell total;                  /* of all cells */
    uint64_t used;                           /* allocated bytes, with padding and headers */
    uint64_t blocks, chunks;                 /* of the heap */
    struct thread_share shares[MAP_COLOURS]; /* by colour; those of 0 and MAP_OTHERS have no thread */
    int legend[MAP_OTHERS]; /* the colours in use, first those of threads by their number; 0 after the last */
};

static inline double percent_of(uint64_t part, uint64_t whole)
{
    return whole != 0 ? 100 * ((double)part / (double)whole) : 0;
}

/* A map of at most `most_cells`, which is not 0. Returns false if there is no memory. */
bool page_map_init(struct page_map *map, size_t most_cells);
void page_map_free(struct page_map *map);

/* Reads the map, and again with a refreshed reader while the heap's program removes what the walk needs. Returns false,
 * and sets `problem`, if the walk didn't reach the end; the pages from there on are unknown. */
bool page_map_read(struct page_map *map, struct reader *reader, struct problem *problem);

/* The first page of a cell; for the one after the last, the end. */
uint64_t page_map_first(const struct page_map *map, size_t index);

struct cell_look page_map_look(const struct page_map *map, size_t index);
bool page_map_same_look(struct cell_look one, struct cell_look other);

#endif
