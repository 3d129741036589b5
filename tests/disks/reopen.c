/* A persistent heap whose file doesn't own all its blocks, as a copy may not: it has holes, or shares its blocks with
 * another file. On a full disk it can't be opened, or every store works; tests/disks/run makes the copies.
 *
 *     reopen make FILE     makes a heap with much in it that was never touched
 *     reopen fill FILE     fills the disk that the copy FILE is on, opens it, makes room, opens it again
 *     reopen write FILE COMMAND
 *                          opens FILE and lets readers in, publishes a block, and runs COMMAND, which makes the copy
 *                          "copy.filz": that has the block, and when the disk is full, every store in FILE works */
#include "expect.h"

#include <fcntl.h>
#include <filz.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define PAGE (4 * KIB)

/* Small enough for the least of the disks, and more than it is extended by at once. */
#define SIZE (512 * KIB)

static filz_mmap heap_at(const char *path)
{
    return (filz_mmap){.path = path, .capacity = 4 * SIZE, .flags = FILZ_MMAP_PERSISTENT, .tag = 1};
}

/* Every eighth page is written. */
static void make(const char *path)
{
    filz_mmap heap = heap_at(path);
    char *block = filz_mmap_alloc_zeroed(&heap, SIZE, PAGE);
    EXPECT(block != NULL && filz_mmap_set_root(&heap, block) == 0);
    for (size_t i = 0; i < SIZE; i += 8 * PAGE)
        block[i] = 'w';
    EXPECT(filz_mmap_sync(&heap) == 0 && filz_mmap_close(&heap) == 0);
}

static void check(const char *block)
{
    for (size_t i = 0; i < SIZE; i++)
        EXPECT(block[i] == (i % (8 * PAGE) == 0 ? 'w' : '\0'));
}

/* Stores in every page, and blocks until there is none; all of it reaches the disk. */
static void store_all_over(filz_mmap *heap)
{
    char *block = filz_mmap_root(heap), *more;
    memset(block, 's', SIZE);
    while ((more = filz_mmap_alloc(heap, 10 * KIB, 1)) != NULL)
        memset(more, 'm', 10 * KIB);
    EXPECT(errno == ENOMEM);
    EXPECT(filz_mmap_sync(heap) == 0);
    memset(block, 't', SIZE);
    EXPECT(filz_mmap_sync(heap) == 0);
}

/* Down to the last block, also where large ones can't be had any more. */
static void fill_disk(void)
{
    int fd = open("ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    off_t size = 0;
    for (size_t step = 64 * KIB * KIB; step >= PAGE; step /= 2)
        while (fallocate(fd, 0, size, (off_t)step) == 0)
            size += (off_t)step;
    EXPECT(errno == ENOSPC && close(fd) == 0);
}

/* A heap that can't be opened is as it was. */
static int open_on_full_disk(const char *path)
{
    filz_mmap heap = heap_at(path);
    struct stat before, after;
    EXPECT(stat(path, &before) == 0);
    int error = filz_mmap_open(&heap);
    EXPECT(error == 0 || error == ENOSPC);
    EXPECT(stat(path, &after) == 0 && after.st_size == before.st_size);
    if (error == 0) {
        check(filz_mmap_root(&heap));
        store_all_over(&heap);
        EXPECT(filz_mmap_close(&heap) == 0);
    }
    return error;
}

/* With room it opens, and is filled; then no store needs any more. */
static void open_with_room(const char *path, bool was_full)
{
    filz_mmap heap = heap_at(path);
    EXPECT(filz_mmap_open(&heap) == 0);
    if (was_full)
        check(filz_mmap_root(&heap));
    fill_disk();
    store_all_over(&heap);
    EXPECT(filz_mmap_close(&heap) == 0);
}

/* Some file systems have the room of a removed file a moment later. */
static void make_room(void)
{
    struct statvfs disk;
    EXPECT(unlink("ballast") == 0);
    for (int i = 0; i < PATIENCE * 100 && statvfs(".", &disk) == 0 && disk.f_bavail * disk.f_frsize < 2 * SIZE; i++)
        usleep(10000);
}

/* The file system may not have been told yet of what was stored. */
static char *publish(filz_mmap *heap)
{
    char *block = filz_mmap_alloc(heap, SIZE / 4, 1);
    EXPECT(block != NULL);
    memset(block, 'p', SIZE / 4);
    EXPECT(filz_mmap_set_root(heap, block) == 0);
    return block;
}

static void check_copy(void)
{
    filz_mmap copy = heap_at("copy.filz");
    copy.flags = FILZ_MMAP_READ_ONLY;
    EXPECT(filz_mmap_open(&copy) == 0);
    const char *block = filz_mmap_root(&copy);
    for (size_t i = 0; i < SIZE / 4; i++)
        EXPECT(block[i] == 'p');
    EXPECT(filz_mmap_close(&copy) == 0);
}

static void write_while_copied(const char *path, const char *command)
{
    filz_mmap heap = heap_at(path);
    heap.flags = FILZ_MMAP_SHARED;
    EXPECT(filz_mmap_open(&heap) == 0);
    void *before = filz_mmap_root(&heap), *published = publish(&heap);
    EXPECT(system(command) == 0);
    EXPECT(filz_mmap_set_root(&heap, before) == 0);
    fill_disk();
    memset(published, 's', SIZE / 4);
    store_all_over(&heap);
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(unlink("ballast") == 0);
    check_copy();
}

int main(int argc, char **argv)
{
    EXPECT(argc >= 3);
    if (strcmp(argv[1], "make") == 0) {
        make(argv[2]);
        return 0;
    }
    char *name = strrchr(argv[2], '/');
    EXPECT(name != NULL);
    *name++ = '\0';
    EXPECT(chdir(argv[2]) == 0);
    if (argc == 4) {
        write_while_copied(name, argv[3]);
        return 0;
    }
    fill_disk();
    int error = open_on_full_disk(name);
    make_room();
    open_with_room(name, error != 0);
    printf("%s", error == 0 ? "opened, and every store worked" : "ENOSPC");
    EXPECT(unlink("ballast") == 0 && unlink(name) == 0);
    return 0;
}
