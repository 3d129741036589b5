/* One run of a program on a persistent heap, on a disk that may lose power at any moment (disk.c): builds lists, and
 * tells by markers what has to be there after a power cut. It follows the rule of filz/mmap.h: data, sync, root, sync.
 *
 *     workload PATTERN END FILE CONTROL SEED FIRST [GENERATION LENGTH...]
 *
 * PATTERN   list     rounds of new nodes, then the root
 *           reset    a reset, new lists, and again
 *           drop     a reset and some nodes, of which the disk is told nothing
 *           threads  each thread has a list of its own, and one of them syncs now and then
 *           large    blocks of MiBs, some shrunk before the sync and some after it
 * END       close, or stop: the process ends as a kill ends it, with the heap open
 * FIRST     the number of the first generation that it makes, if it finds an empty heap
 * GENERATION LENGTH...   the lists that are on the disk for good before this run
 *
 * The kernel may write any page at any time, and the file system may commit its journal. By themselves they take 30
 * seconds; write_back makes them do it at random moments. */
#include "../disks/expect.h"
#include "log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { KIB = 1024, PAGE = 4 * KIB, ALIGN = 16, MOST_OF_THREAD = 3000 };

static filz_mmap heap;
static int control, heap_file, other_file;
static uint64_t generation, random_state;
static _Atomic(struct node *) newest[LISTS];

static uint64_t draw(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

static void mark(enum marker_kind kind, const struct lengths *lengths)
{
    struct marker marker = {.kind = kind, .lengths = *lengths};
    EXPECT(write(control, &marker, sizeof(marker)) == sizeof(marker));
}

static void write_pages(uint64_t first, uint64_t count)
{
    unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    EXPECT(sync_file_range(heap_file, (off_t)(first * PAGE), (off_t)(count * PAGE), all) == 0);
}

/* The header alone, or some other pages, or whatever the file system has in its journal, or nothing. */
static void write_back(void)
{
    filz_mmap_info info;
    EXPECT(filz_mmap_stats(&heap, &info) == 0);
    uint64_t pages = info.in_chunks / PAGE + 1;
    switch (draw(5)) {
    case 0:
        write_pages(0, 1);
        break;
    case 1:
        write_pages(draw(pages), 1);
        break;
    case 2:
        write_pages(draw(pages), 1 + draw(pages));
        break;
    case 3:
        EXPECT(pwrite(other_file, &pages, sizeof(pages), 0) == sizeof(pages) && fsync(other_file) == 0);
        break;
    }
}

/* -- Lists --------------------------------------------------------------------------------------------------------- */

static void add_nodes(int list, uint64_t count, uint64_t most_bytes)
{
    while (count-- > 0)
        newest[list] = list_new_node(&heap, generation, (uint64_t)list, newest[list], draw(most_bytes) & ~(uint64_t)7);
}

/* Data, sync, root, sync. Other threads may go on meanwhile: what they add is in the next table. */
static void publish(void)
{
    struct node *now[LISTS];
    for (int list = 0; list < LISTS; list++)
        now[list] = atomic_load_explicit(&newest[list], memory_order_acquire);
    const struct table *table = list_new_table(&heap, generation, now);
    write_back();
    EXPECT(filz_mmap_sync(&heap) == 0);
    EXPECT(filz_mmap_set_root(&heap, table) == 0);
    write_back();
    EXPECT(filz_mmap_sync(&heap) == 0);
    mark(MARKER_DURABLE, &table->lengths);
}

static void reset(void)
{
    mark(MARKER_RESET, &(struct lengths){.generation = generation});
    EXPECT(filz_mmap_reset(&heap) == 0);
    write_back();
    generation++;
    for (int list = 0; list < LISTS; list++)
        newest[list] = NULL;
}

/* Goes on with the lists that are there. */
static void open_heap(const char *path)
{
    heap = list_heap(path);
    EXPECT(filz_mmap_open(&heap) == 0);
    heap_file = open(path, O_RDONLY | O_CLOEXEC);
    EXPECT(heap_file >= 0);
    const struct table *table = filz_mmap_root(&heap);
    if (table == NULL)
        return;
    const char *wrong = list_wrong(&heap, table);
    if (wrong != NULL)
        fprintf(stderr, "%s\n", wrong);
    EXPECT(wrong == NULL);
    generation = table->lengths.generation;
    for (int list = 0; list < LISTS; list++)
        newest[list] = table->newest[list];
}

/* -- Patterns ------------------------------------------------------------------------------------------------------ */

static void build_list(void)
{
    for (int round = 0; round < 16; round++) {
        add_nodes(0, 1 + draw(60), 2 * KIB);
        write_back();
        publish();
    }
}

/* A short life may follow a long one, and what was never synced may be reset as well. */
static void build_and_reset(void)
{
    for (int round = 0; round < 6; round++) {
        uint64_t most = draw(2) == 0 ? 300 : 30;
        for (uint64_t part = draw(3); part > 0; part--) {
            add_nodes((int)draw(LISTS), 1 + draw(most), KIB);
            write_back();
            publish();
        }
        add_nodes(0, draw(30), KIB);
        write_back();
        reset();
        add_nodes(1, draw(most), KIB);
        write_back();
    }
    publish();
}

static void drop(void)
{
    reset();
    add_nodes(0, 100, KIB);
    write_back();
}

static atomic_bool stopped;

/* On a slow machine a sync takes long, and the disk is small. */
static void *add_until_stopped(void *argument)
{
    uint64_t list = *(uint64_t *)argument;
    unsigned seed = (unsigned)list;
    for (int added = 0; !stopped && added < MOST_OF_THREAD; added++) {
        struct node *older = atomic_load_explicit(&newest[list], memory_order_relaxed);
        struct node *node = list_new_node(&heap, generation, list, older, (size_t)(rand_r(&seed) % KIB) & ~(size_t)7);
        atomic_store_explicit(&newest[list], node, memory_order_release);
        usleep(100);
    }
    return NULL;
}

static void build_in_threads(void)
{
    pthread_t threads[LISTS];
    uint64_t numbers[LISTS];
    for (uint64_t list = 0; list < LISTS; list++) {
        numbers[list] = list;
        EXPECT(pthread_create(&threads[list], NULL, add_until_stopped, &numbers[list]) == 0);
    }
    for (int round = 0; round < 8; round++) {
        usleep((useconds_t)draw(8000));
        write_back();
        publish();
    }
    stopped = true;
    for (int list = 0; list < LISTS; list++)
        pthread_join(threads[list], NULL);
}

/* A node keeps its place when its block shrinks. */
static void add_large_node(size_t payload, size_t to_spare)
{
    size_t size = sizeof(struct node) + payload;
    struct node *node = filz_mmap_alloc(&heap, size + to_spare, ALIGN);
    EXPECT(node != NULL);
    list_fill_node(node, generation, 0, newest[0], payload);
    newest[0] = node;
    bool is_late = draw(2) == 0;
    if (is_late)
        publish();
    if (to_spare > 0)
        EXPECT(filz_mmap_realloc(&heap, node, size + to_spare, ALIGN, size) == node);
    write_back();
    add_nodes(1, draw(20), 2 * KIB);
    if (!is_late)
        publish();
}

static void build_large(void)
{
    for (int round = 0; round < 5; round++)
        add_large_node((1 + draw(3 * KIB)) * KIB, draw(2) * draw(2 * KIB) * KIB);
    add_large_node(100 * KIB, 4 * KIB * KIB);
}

static void work(const char *pattern)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } patterns[] = {{"list", build_list},
                    {"reset", build_and_reset},
                    {"drop", drop},
                    {"threads", build_in_threads},
                    {"large", build_large}};
    bool found = false;
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
        if (strcmp(patterns[i].name, pattern) == 0) {
            patterns[i].run();
            found = true;
        }
    EXPECT(found);
}

/* Two names that no heap has. */
static void open_files(const char *heap_path, const char *control_path)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s.other", heap_path);
    other_file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    control = open(control_path, O_WRONLY | O_CLOEXEC);
    EXPECT(other_file >= 0 && control >= 0);
}

static void mark_start(char **arguments, int count)
{
    struct lengths before = {0};
    if (count == 1 + LISTS) {
        before.generation = strtoull(arguments[0], NULL, 10);
        for (int list = 0; list < LISTS; list++)
            before.of[list] = strtoull(arguments[1 + list], NULL, 10);
        mark(MARKER_DURABLE, &before);
    }
    mark(MARKER_START, &before);
}

int main(int argc, char **argv)
{
    EXPECT(argc == 7 || argc == 8 + LISTS);
    open_files(argv[3], argv[4]);
    random_state = strtoull(argv[5], NULL, 10) * 2 + 1;
    generation = strtoull(argv[6], NULL, 10);
    mark_start(argv + 7, argc - 7);
    open_heap(argv[3]);
    work(argv[1]);
    if (strcmp(argv[2], "stop") == 0)
        _exit(0);
    EXPECT(filz_mmap_close(&heap) == 0);
    return 0;
}
