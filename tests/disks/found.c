/* A `memory/` in the working directory that was only found, on a disk that is full or refuses something: the heap falls
 * through to an unnamed file, and nothing of it stays in `memory/`. tests/disks/run mounts the disks.
 *
 *     found full              fills the disk under memory/, then gives back some of it at a time
 *     found refused [OTHER]   memory/ holds no heap; OTHER is where a file can be put into it */
#include "expect.h"

#include <dirent.h>
#include <fcntl.h>
#include <filz.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

/* Of this program. */
#define HEAP "memory/found.filz"
#define BALLAST "memory/ballast"

/* How many entries `memory/` has. */
static int count_entries(void)
{
    DIR *directory = opendir("memory");
    EXPECT(directory != NULL);
    int count = 0;
    while (readdir(directory) != NULL)
        count++;
    EXPECT(closedir(directory) == 0);
    return count;
}

/* FUSE removes a file that was open a moment later. */
static bool has_entries(int count)
{
    for (int i = 0; i < PATIENCE * 100 && count_entries() != count; i++)
        usleep(10000);
    return count_entries() == count;
}

/* The size of the program's heap file; -1 if there is none. */
static off_t size_of_heap_file(void)
{
    struct stat status;
    return stat(HEAP, &status) == 0 ? status.st_size : -1;
}

static void write_blocks(filz_mmap *heap)
{
    for (int i = 0; i < 10; i++) {
        char *block = filz_mmap_alloc_zeroed(heap, 10 * KIB, 1);
        EXPECT(block != NULL && block[0] == '\0' && memcmp(block, block + 1, 10 * KIB - 1) == 0);
        memset(block, 'b', 10 * KIB);
    }
}

/* Heaps in memory/ that had room for their header and not for a block. */
static int heaps_without_a_block;

/* Returns whether the heap's file is in memory/. If it isn't, the heap works. */
static bool open_heap(void)
{
    filz_mmap heap = {.capacity = MIB};
    filz_mmap_info info;
    int error = filz_mmap_open(&heap);
    if (error != 0)
        fprintf(stderr, "%s\n", filz_error_text(error));
    EXPECT(error == 0 && filz_mmap_stats(&heap, &info) == 0);
    bool is_in_memory = info.path != NULL;
    if (is_in_memory) {
        EXPECT(strstr(info.path, HEAP) != NULL);
        heaps_without_a_block += filz_mmap_alloc(&heap, 1, 1) == NULL;
    } else {
        write_blocks(&heap);
    }
    EXPECT(filz_mmap_close(&heap) == 0);
    return is_in_memory;
}

/* Opens the heap where there was no file of it; if its file isn't there, nothing is. */
static bool open_without_file(void)
{
    int entries = count_entries();
    bool is_in_memory = open_heap();
    EXPECT(is_in_memory == (size_of_heap_file() >= 0));
    EXPECT(!is_in_memory || unlink(HEAP) == 0);
    EXPECT(has_entries(entries));
    return is_in_memory;
}

/* Opens the heap over the file of an earlier run, which is used, gone, or as long as it was. */
static bool open_over_file(void)
{
    off_t before = size_of_heap_file();
    EXPECT(before > 8);
    bool is_in_memory = open_heap();
    off_t after = size_of_heap_file();
    EXPECT(is_in_memory ? after > 8 : after == -1 || after == before);
    return is_in_memory;
}

/* -- A full disk --------------------------------------------------------------------------------------------------- */

/* Down to the last byte. Returns how much the ballast is. */
static off_t fill_disk(void)
{
    int fd = open(BALLAST, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    off_t size = 0;
    for (size_t step = 64 * MIB; step >= KIB; step /= 2)
        while (fallocate(fd, 0, size, (off_t)step) == 0)
            size += (off_t)step;
    EXPECT(errno == ENOSPC);
    while (pwrite(fd, "", 1, size) == 1)
        size += (off_t)KIB;
    EXPECT(errno == ENOSPC && fsync(fd) == 0 && close(fd) == 0);
    return size;
}

/* A heap that needs as little as a file can have. */
static void leave_a_small_file(void)
{
    filz_mmap heap = {.capacity = 2 * (size_t)sysconf(_SC_PAGESIZE)};
    EXPECT(filz_mmap_alloc(&heap, 1, 1) != NULL && filz_mmap_close(&heap) == 0 && size_of_heap_file() > 0);
}

/* On a full disk, and with more and more room. */
static void open_with_little_room(void)
{
    off_t size = fill_disk();
    EXPECT(!open_without_file());
    int in_memory = 0, elsewhere = 0;
    for (size_t room = KIB; room <= 160 * KIB && size > (off_t)room; room += KIB) {
        EXPECT(truncate(BALLAST, size - (off_t)room) == 0);
        if (open_without_file())
            in_memory++;
        else
            elsewhere++;
    }
    printf("with 1 to 160 KiB of room, %d heaps were in memory/ (%d had no room for a block), %d elsewhere", in_memory,
           heaps_without_a_block, elsewhere);
    EXPECT(unlink(BALLAST) == 0);
}

static void open_over_a_file_without_room(void)
{
    leave_a_small_file();
    fill_disk();
    open_over_file();
    EXPECT(unlink(BALLAST) == 0);
}

/* -- A disk that refuses something --------------------------------------------------------------------------------- */

/* Puts the file of an earlier run where it can be made. */
static void leave_a_file_in(const char *other)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/found.filz", other);
    filz_mmap heap = {.path = path, .capacity = MIB};
    EXPECT(filz_mmap_alloc(&heap, 1000, 1) != NULL && filz_mmap_close(&heap) == 0 && size_of_heap_file() > 0);
}

static void open_where_it_is_refused(const char *other)
{
    EXPECT(!open_without_file());
    if (other == NULL)
        return;
    leave_a_file_in(other);
    EXPECT(!open_over_file());
}

int main(int argc, char **argv)
{
    EXPECT(argc >= 2);
    if (strcmp(argv[1], "full") == 0) {
        open_with_little_room();
        open_over_a_file_without_room();
    } else {
        open_where_it_is_refused(argv[2]);
        printf("the heap was elsewhere");
    }
    unlink(HEAP);
    return 0;
}
