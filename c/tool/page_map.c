/* Reads a heap's chunks and the residency of its pages in one pass from the file's start to its end, and adds them up
 * by cells. It may not trust a number from the file, or take memory that grows with it. */
#include "page_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    THREADS_TOLD_APART = 4096,
    OWNERS_IN_A_CELL = 32, /* told apart */
    WINDOW = 1 << 15,      /* pages per query of residency */
};

/* A walk through the file. `next` is the first page that isn't counted yet. */
struct scan {
    struct page_map *map;
    const struct reader *reader;
    uint64_t next;
    struct {
        unsigned thread;
        uint64_t pages;
    } owners[OWNERS_IN_A_CELL]; /* of the cell that `next` is in */

    /* Whether the pages [next, window_end) are in RAM is known; those before `window` aren't. */
    uint64_t window, window_end;
    unsigned char in_ram[WINDOW];
};

bool page_map_init(struct page_map *map, size_t most_cells)
{
    *map = (struct page_map){
        .most_cells = most_cells,
        .cells = calloc(most_cells, sizeof(map->cells[0])),
        .threads = calloc(THREADS_TOLD_APART, sizeof(map->threads[0])),
    };
    if (map->cells != NULL && map->threads != NULL)
        return true;
    page_map_free(map);
    return false;
}

void page_map_free(struct page_map *map)
{
    free(map->cells);
    free(map->threads);
    *map = (struct page_map){.count = 0};
}

static uint64_t cells_for(const struct page_map *map)
{
    return map->pages / map->per_cell + (map->pages % map->per_cell != 0);
}

/* 1, 2, 3, 4, 6, 8, 12 and so on: numbers that are easy to grasp, and stay for a while when a heap grows. */
static uint64_t next_step(uint64_t pages)
{
    if (pages == 1)
        return 2;
    return pages % 3 == 0 ? pages / 3 * 4 : pages / 2 * 3;
}

static void clear(struct page_map *map, const struct reader *reader)
{
    map->page_size = reader->header.page_size;
    map->pages = (uint64_t)reader->status.st_size / map->page_size;
    map->per_cell = 1;
    while (cells_for(map) > map->most_cells)
        map->per_cell = next_step(map->per_cell);
    map->count = (size_t)cells_for(map);
    memset(map->cells, 0, map->most_cells * sizeof(map->cells[0]));
    memset(map->threads, 0, THREADS_TOLD_APART * sizeof(map->threads[0]));
    map->total = (struct page_cell){.owner = 0};
    map->used = map->blocks = map->chunks = 0;
    memset(map->shares, 0, sizeof(map->shares));
    memset(map->legend, 0, sizeof(map->legend));
}

/* --- in RAM? --- */

/* A hole has no pages in RAM, and may have many terabytes. */
static void move_window(struct scan *scan, uint64_t first)
{
    uint64_t pages = scan->map->pages;
    off_t data = lseek(scan->reader->fd, (off_t)(first * scan->map->page_size), SEEK_DATA);
    if (data < 0 && errno == ENXIO)
        scan->window = pages;
    else
        scan->window = data < 0 ? first : (uint64_t)data / scan->map->page_size;
    if (scan->window > pages)
        scan->window = pages;
    size_t count = pages - scan->window < WINDOW ? (size_t)(pages - scan->window) : WINDOW;
    scan->window_end = scan->window + count;
    if (count != 0)
        reader_pages_in_ram(scan->reader, scan->window, count, scan->in_ram);
}

static uint64_t count_in_ram(struct scan *scan, uint64_t end)
{
    uint64_t count = 0;
    for (uint64_t page = scan->next; page < end;) {
        if (page >= scan->window_end)
            move_window(scan, page);
        uint64_t stop = end < scan->window_end ? end : scan->window_end;
        for (page = page > scan->window ? page : scan->window; page < stop; page++)
            count += scan->in_ram[page - scan->window] & 1;
        page = stop;
    }
    return count;
}

/* --- whose? --- */

static void add_owner(struct scan *scan, unsigned thread, uint64_t pages)
{
    size_t least = 0;
    for (size_t i = 0; i < OWNERS_IN_A_CELL; i++) {
        if (scan->owners[i].thread == thread) {
            scan->owners[i].pages += pages;
            return;
        }
        if (scan->owners[i].pages < scan->owners[least].pages)
            least = i;
    }
    if (scan->owners[least].pages < pages) {
        scan->owners[least].thread = thread;
        scan->owners[least].pages = pages;
    }
}

static void settle_owner(struct scan *scan, struct page_cell *cell)
{
    size_t most = 0;
    for (size_t i = 1; i < OWNERS_IN_A_CELL; i++)
        if (scan->owners[i].pages > scan->owners[most].pages)
            most = i;
    cell->owner = scan->owners[most].thread;
    memset(scan->owners, 0, sizeof(scan->owners));
}

/* If two threads have the same table entry, the larger keeps it. */
static void add_share(struct page_map *map, unsigned thread, uint64_t bytes)
{
    struct thread_share *share = &map->threads[thread % THREADS_TOLD_APART];
    struct thread_share *others = &map->shares[MAP_OTHERS];
    if (share->thread != thread && share->bytes >= bytes) {
        others->bytes += bytes;
        return;
    }
    if (share->thread != thread) {
        others->bytes += share->bytes;
        *share = (struct thread_share){.thread = thread};
    }
    share->bytes += bytes;
}

static void sort_down(struct thread_share *shares, size_t count, bool by_number)
{
    for (size_t i = count - 1; i > 0; i--) {
        struct thread_share *before = &shares[i - 1], later = shares[i];
        bool in_order = by_number ? before->thread < later.thread : before->bytes >= later.bytes;
        if (later.thread == 0 || (before->thread != 0 && in_order))
            return;
        shares[i] = *before;
        *before = later;
    }
}

/* A thread's colour is that of its number if it is free, so that it stays the same while others come. */
static void give_colours(struct page_map *map)
{
    struct thread_share largest[MAP_THREADS + 1] = {{0}}, named[MAP_THREADS] = {{0}};
    for (size_t i = 0; i < THREADS_TOLD_APART; i++) {
        largest[MAP_THREADS] = map->threads[i];
        sort_down(largest, MAP_THREADS + 1, false);
        map->shares[MAP_OTHERS].bytes += largest[MAP_THREADS].bytes;
    }
    for (size_t i = 0; i < MAP_THREADS; i++) {
        named[i] = largest[i];
        sort_down(named, i + 1, true);
    }
    size_t count = 0;
    for (; count < MAP_THREADS && named[count].thread != 0; count++) {
        unsigned colour = (named[count].thread - 1) % MAP_THREADS;
        while (map->shares[colour + 1].thread != 0)
            colour = (colour + 1) % MAP_THREADS;
        map->shares[colour + 1] = named[count];
        map->legend[count] = (int)colour + 1;
    }
    if (map->shares[MAP_OTHERS].bytes != 0)
        map->legend[count] = MAP_OTHERS;
}

static int colour_of(const struct page_map *map, unsigned thread)
{
    for (int colour = 1; colour <= MAP_THREADS; colour++)
        if (thread != 0 && map->shares[colour].thread == thread)
            return colour;
    return thread != 0 ? MAP_OTHERS : 0;
}

/* --- the walk --- */

static void add_to(struct page_cell *cell, enum page_kind kind, uint64_t pages, uint64_t in_ram)
{
    cell->pages[kind] += pages;
    cell->in_ram[kind] += in_ram;
}

/* The pages up to `end` are of this kind, and in this thread's chunk. */
static void add_pages(struct scan *scan, uint64_t end, enum page_kind kind, unsigned thread)
{
    struct page_map *map = scan->map;
    if (end > map->pages)
        end = map->pages;
    while (scan->next < end) {
        uint64_t index = scan->next / map->per_cell;
        uint64_t cell_end = (index + 1) * map->per_cell;
        uint64_t stop = end < cell_end ? end : cell_end;
        uint64_t in_ram = count_in_ram(scan, stop);
        add_to(&map->cells[index], kind, stop - scan->next, in_ram);
        add_to(&map->total, kind, stop - scan->next, in_ram);
        if (thread != 0)
            add_owner(scan, thread, stop - scan->next);
        scan->next = stop;
        if (stop == cell_end || stop == map->pages)
            settle_owner(scan, &map->cells[index]);
    }
}

static uint64_t pages_up_to(const struct page_map *map, uint64_t offset)
{
    return offset / map->page_size + (offset % map->page_size != 0);
}

static int walk(struct scan *scan, struct problem *problem)
{
    struct page_map *map = scan->map;
    struct chunk chunk = {.end = 0};
    int found;
    add_pages(scan, 1, PAGE_USED, 0);
    map->used = map->page_size;
    while ((found = reader_next_chunk(scan->reader, &chunk, problem)) > 0) {
        uint64_t used = chunk.used_end - chunk.start;
        map->chunks++;
        map->blocks += chunk.blocks;
        map->used += used;
        add_share(map, chunk.owner, used);
        add_pages(scan, pages_up_to(map, chunk.used_end), PAGE_USED, chunk.owner);
        add_pages(scan, pages_up_to(map, chunk.end), PAGE_TAIL, chunk.owner);
    }
    if (found < 0)
        add_pages(scan, pages_up_to(map, scan->reader->end), PAGE_UNKNOWN, 0);
    add_pages(scan, map->pages, PAGE_FREE, 0);
    return found;
}

bool page_map_read(struct page_map *map, struct reader *reader, struct problem *problem)
{
    int found, tries = 0;
    do {
        struct scan scan = {.map = map, .reader = reader};
        clear(map, reader);
        found = walk(&scan, problem);
    } while (reader_must_repeat(reader, found != 0, false, &tries));
    give_colours(map);
    return found == 0;
}

/* --- looks --- */

uint64_t page_map_first(const struct page_map *map, size_t index)
{
    return index < map->count ? index * map->per_cell : map->pages;
}

struct cell_look page_map_look(const struct page_map *map, size_t index)
{
    const struct page_cell *cell = &map->cells[index];
    struct cell_look look = {.kind = PAGE_USED};
    for (enum page_kind kind = PAGE_TAIL; kind < PAGE_KINDS; kind++)
        if (cell->pages[kind] > cell->pages[look.kind])
            look.kind = kind;
    if (look.kind == PAGE_USED)
        look.in_ram = 2 * cell->in_ram[PAGE_USED] >= cell->pages[PAGE_USED];
    if (look.kind == PAGE_USED || look.kind == PAGE_TAIL)
        look.colour = colour_of(map, cell->owner);
    return look;
}

bool page_map_same_look(struct cell_look one, struct cell_look other)
{
    return one.kind == other.kind && one.in_ram == other.in_ram && one.colour == other.colour;
}
