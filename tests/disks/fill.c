/* Fills the disk that DIRECTORY is on by a heap, and does on the full disk all that must go on. tests/disks/run runs it
 * on several file systems.
 *
 *     fill DIRECTORY named|unnamed SEED */
#include "expect.h"

#include <fcntl.h>
#include <filz.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

/* So much of the disk is left to the heap, where it is larger; a file takes the rest. */
#define ROOM (24 * MIB)

struct block {
    unsigned char *start;
    size_t size;
};

#define BLOCKS_MAX 100000

static struct block blocks[BLOCKS_MAX];
static size_t block_count;

static void write_all(int round)
{
    for (size_t i = 0; i < block_count; i++)
        memset(blocks[i].start, (int)i + round, blocks[i].size);
}

static void check_all(int round)
{
    for (size_t i = 0; i < block_count; i++)
        for (size_t j = 0; j < blocks[i].size; j++)
            EXPECT(blocks[i].start[j] == (unsigned char)((int)i + round));
}

/* Blocks of at most 64 KiB until there is none, then smaller ones, down to a byte. Returns how many bytes it got. */
static size_t fill_up(filz_mmap *heap)
{
    size_t bytes = 0;
    for (size_t most = 64 * KIB; most > 0; most /= 2) {
        struct block block = {.size = (size_t)rand() % most + 1};
        while (block_count < BLOCKS_MAX && (block.start = filz_mmap_alloc(heap, block.size, 1)) != NULL) {
            memset(block.start, 1, block.size);
            blocks[block_count++] = block;
            bytes += block.size;
            block.size = (size_t)rand() % most + 1;
        }
        EXPECT(block_count == BLOCKS_MAX || errno == ENOMEM);
    }
    return bytes;
}

/* The heap and the disk are full: every block can be written again, before the disk has them and after. */
static void rewrite(void)
{
    int disk = open(".", O_RDONLY | O_DIRECTORY);
    EXPECT(disk >= 0);
    for (int round = 2; round < 6; round++) {
        write_all(round);
        EXPECT(syncfs(disk) == 0);
        check_all(round);
    }
    close(disk);
}

/* A fork finds no room for a copy. */
static void fork_and_rewrite(filz_mmap *heap)
{
    write_all(6);
    pid_t child = fork();
    if (child == 0) {
        check_all(6);
        write_all(7);
        check_all(7);
        EXPECT(filz_mmap_alloc(heap, MIB, 1) != NULL);
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

/* What the file system says is free it may be able to give only a moment later. */
static void take(const char *path, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    for (int i = 0; i < 1000 && (errno = posix_fallocate(fd, 0, (off_t)size)) != 0; i++)
        usleep(10000);
    EXPECT(errno == 0 && close(fd) == 0);
}

static size_t free_bytes(void)
{
    struct statvfs disk;
    EXPECT(statvfs(".", &disk) == 0);
    return disk.f_bavail * disk.f_frsize;
}

/* Some file systems have the room of a removed file a moment later. */
static void give_back(const char *path)
{
    size_t before = free_bytes();
    EXPECT(unlink(path) == 0);
    for (int i = 0; i < PATIENCE * 100 && free_bytes() <= before; i++)
        usleep(10000);
    EXPECT(free_bytes() > before);
}

int main(int argc, char **argv)
{
    EXPECT(argc == 4);
    srand((unsigned)atoi(argv[3]));
    EXPECT(chdir(argv[1]) == 0 && setenv("TMPDIR", ".", 1) == 0);

    size_t room = free_bytes();
    if (room > ROOM)
        take("ballast", room - ROOM);
    take("reserve", free_bytes() / 3);
    filz_mmap heap = {.path = strcmp(argv[2], "named") == 0 ? "heap.filz" : NULL, .capacity = 256 * MIB};
    size_t bytes = fill_up(&heap);
    EXPECT(bytes > 0 && filz_mmap_alloc(&heap, 64 * KIB, 1) == NULL && errno == ENOMEM);
    rewrite();
    fork_and_rewrite(&heap);
    check_all(6);
    give_back("reserve");
    write_all(1);
    size_t more = fill_up(&heap);
    EXPECT(more > bytes / 10);
    rewrite();
    printf("%zu KiB, then %zu more\n", bytes / KIB, more / KIB);
    EXPECT(filz_mmap_close(&heap) == 0);
    unlink("heap.filz");
    if (room > ROOM)
        give_back("ballast");
    return 0;
}
