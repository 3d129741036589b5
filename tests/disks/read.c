/* A persistent heap where nothing about its file may change: it is read, and privately copied. tests/disks/run puts the
 * file on several file systems.
 *
 *     read make FILE MODE USER    makes a heap of this mode and owner
 *     read use FILE USER          as this user: reads all of it, then writes to a private copy */
#include "expect.h"

#include <fcntl.h>
#include <filz.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* Small ones, and two that have chunks of their own. */
enum { NODES = 300, LARGE = 300 << 10, MOST_PAGES = 4096 };

struct node {
    struct node *next; /* the one that was added before */
    size_t number, size;
    unsigned char filling[];
};

static size_t size_of(size_t number)
{
    return sizeof(struct node) + (number % 150 == 149 ? LARGE : number * 7 % 500);
}

static unsigned char byte_of(size_t number)
{
    return (unsigned char)(number * 31 + 1);
}

/* -- Making it ----------------------------------------------------------------------------------------------------- */

/* Its times are so old that a file system which notes reads at all would note the next one. */
static void make(const char *path, mode_t mode, uid_t user)
{
    filz_mmap heap = {.path = path, .capacity = 8 * MIB, .flags = FILZ_MMAP_PERSISTENT, .tag = 1};
    struct node *newest = NULL;
    for (size_t number = 0; number < NODES; number++) {
        struct node *node = filz_mmap_alloc(&heap, size_of(number), _Alignof(struct node));
        EXPECT(node != NULL);
        *node = (struct node){newest, number, size_of(number)};
        memset(node->filling, byte_of(number), node->size - sizeof(*node));
        newest = node;
    }
    EXPECT(filz_mmap_set_root(&heap, newest) == 0 && filz_mmap_sync(&heap) == 0 && filz_mmap_close(&heap) == 0);
    const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
    EXPECT(chown(path, user, user) == 0 && chmod(path, mode) == 0 && utimensat(AT_FDCWD, path, long_ago, 0) == 0);
}

/* -- Reading it ---------------------------------------------------------------------------------------------------- */

static void walk(const filz_mmap *heap)
{
    size_t number = NODES;
    for (const struct node *node = filz_mmap_root(heap); node != NULL; node = node->next) {
        number--;
        EXPECT(node->number == number && node->size == size_of(number) && filz_mmap_owns(heap, node));
        for (size_t i = 0; i < node->size - sizeof(*node); i++)
            EXPECT(node->filling[i] == byte_of(number));
    }
    EXPECT(number == 0);
}

static void look_at(const filz_mmap *heap)
{
    static unsigned char states[MOST_PAGES];
    filz_mmap_info info;
    size_t count = MOST_PAGES;
    EXPECT(filz_mmap_stats(heap, &info) == 0 && info.blocks == NODES && info.used <= info.in_chunks);
    EXPECT(filz_mmap_pages(heap, 0, &count, states) == 0 && count == info.committed / info.page_size);
    EXPECT(filz_mmap_is_current(heap));
}

static void read_all(const char *path)
{
    filz_mmap heap = {.path = path, .flags = FILZ_MMAP_READ_ONLY, .tag = 1};
    EXPECT(filz_mmap_open(&heap) == 0);
    walk(&heap);
    look_at(&heap);
    EXPECT(filz_mmap_alloc(&heap, 8, 8) == NULL && errno == EROFS);
    EXPECT(filz_mmap_close(&heap) == 0);
}

static void write_private_copy(const char *path)
{
    filz_mmap heap = {.path = path, .capacity = 16 * MIB, .flags = FILZ_MMAP_PRIVATE, .tag = 1};
    EXPECT(filz_mmap_open(&heap) == 0);
    walk(&heap);
    look_at(&heap);
    for (struct node *node = filz_mmap_root(&heap); node != NULL; node = node->next)
        memset(node->filling, 'p', node->size - sizeof(*node));
    char *block = filz_mmap_alloc_zeroed(&heap, 4 * MIB, 1);
    EXPECT(block != NULL && filz_mmap_set_root(&heap, block) == 0 && filz_mmap_root(&heap) == block);
    memset(block, 'p', 4 * MIB);
    EXPECT(filz_mmap_close(&heap) == 0);
}

/* -- Its file ------------------------------------------------------------------------------------------------------ */

struct snapshot {
    struct stat status;
    char *bytes;
};

/* Root may read without a trace. */
static struct snapshot snapshot_of(const char *path)
{
    struct snapshot snapshot;
    int fd = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC);
    EXPECT(fd >= 0 && fstat(fd, &snapshot.status) == 0);
    size_t size = (size_t)snapshot.status.st_size;
    snapshot.bytes = malloc(size);
    EXPECT(snapshot.bytes != NULL && pread(fd, snapshot.bytes, size, 0) == (ssize_t)size && close(fd) == 0);
    return snapshot;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Its access time too, if the reader is its owner, or root. */
static void expect_as_it_was(const char *path, const struct snapshot *before, uid_t reader)
{
    struct snapshot now = snapshot_of(path);
    const struct stat *was = &before->status, *is = &now.status;
    EXPECT(is->st_ino == was->st_ino && is->st_size == was->st_size && is->st_blocks == was->st_blocks);
    EXPECT(is->st_mode == was->st_mode && is->st_uid == was->st_uid && is->st_nlink == was->st_nlink);
    EXPECT(memcmp(now.bytes, before->bytes, (size_t)is->st_size) == 0);
    EXPECT(is_same_time(is->st_mtim, was->st_mtim) && is_same_time(is->st_ctim, was->st_ctim));
    EXPECT((reader != 0 && reader != was->st_uid) || is_same_time(is->st_atim, was->st_atim));
}

static void as_user(uid_t user, void (*body)(const char *path), const char *path)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        EXPECT(user == 0 || (setgroups(0, NULL) == 0 && setgid(user) == 0 && setuid(user) == 0));
        body(path);
        exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

int main(int argc, char **argv)
{
    EXPECT(argc > 3);
    uid_t user = (uid_t)atoi(argv[argc - 1]);
    if (strcmp(argv[1], "make") == 0) {
        make(argv[2], (mode_t)strtoul(argv[3], NULL, 8), user);
        return 0;
    }
    struct snapshot before = snapshot_of(argv[2]);
    as_user(user, read_all, argv[2]);
    expect_as_it_was(argv[2], &before, user);
    as_user(user, write_private_copy, argv[2]);
    expect_as_it_was(argv[2], &before, user);
    free(before.bytes);
    return 0;
}
