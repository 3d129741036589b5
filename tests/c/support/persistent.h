/* What the tests of persistent heaps share: a heap that is opened again, and lists in it that hang from its root. */
#ifndef FILZ_TESTS_PERSISTENT_H
#define FILZ_TESTS_PERSISTENT_H

#include "heap_files.h"

#define TAG UINT64_C(0x0123456789abcdef)

/* Small, so that several find room among 32 bits of addresses. */
MAYBE_UNUSED static filz_mmap persistent_at(const char *path)
{
    return (filz_mmap){.path = path, .capacity = 4 * MIB, .flags = FILZ_MMAP_PERSISTENT, .tag = TAG};
}

MAYBE_UNUSED static filz_mmap reader_of(const char *path)
{
    return (filz_mmap){.path = path, .flags = FILZ_MMAP_READ_ONLY, .tag = TAG};
}

MAYBE_UNUSED static filz_mmap private_of(const char *path)
{
    return (filz_mmap){.path = path, .flags = FILZ_MMAP_PRIVATE, .tag = TAG};
}

/* -- Lists --------------------------------------------------------------------------------------------------------- */

enum { LISTS = 4 };

/* What the root leads to: the newest node of each list. */
struct lists {
    struct node *newest[LISTS];
};

struct node {
    struct node *next; /* the one that was added before; NULL for the first */
    uint64_t number;   /* from 1 on */
    uint64_t check;
    size_t size;
    unsigned char filling[];
};

static uint64_t check_of(const struct node *node)
{
    return (node->number * UINT64_C(0x9e3779b97f4a7c15)) ^ ((uintptr_t)node << 16) ^ (uintptr_t)node->next ^ node->size;
}

static uint64_t newest_number(const struct lists *lists, int list)
{
    const struct node *newest = __atomic_load_n(&lists->newest[list], __ATOMIC_ACQUIRE);
    return newest != NULL ? newest->number : 0;
}

/* Adds a node of `size` bytes. It is whole before the list has it, so the list is at every moment. Returns its number,
 * 0 if there is no room. */
MAYBE_UNUSED static uint64_t add_node(filz_mmap *heap, struct lists *lists, int list, size_t size)
{
    struct node *node = filz_mmap_alloc(heap, size, _Alignof(struct node));
    if (node == NULL)
        return 0;
    *node = (struct node){.next = lists->newest[list], .number = newest_number(lists, list) + 1, .size = size};
    node->check = check_of(node);
    memset(node->filling, (int)node->number, size - sizeof(*node));
    __atomic_store_n(&lists->newest[list], node, __ATOMIC_RELEASE);
    return node->number;
}

/* A multiple of 8 up to `most`. */
MAYBE_UNUSED static size_t random_node_size(unsigned *seed, size_t most)
{
    return (sizeof(struct node) + (size_t)rand_r(seed) % (most - sizeof(struct node))) & ~(size_t)7;
}

static bool is_sound(const filz_mmap *heap, const struct node *node, uint64_t number)
{
    return filz_mmap_owns(heap, node) && node->number == number && node->check == check_of(node) &&
           filz_mmap_owns(heap, (const char *)node + node->size - 1) &&
           is_filled(node->filling, (int)number, node->size - sizeof(*node));
}

/* Walks the list to its end. Returns how many nodes it has, or -1 if one isn't sound. */
MAYBE_UNUSED static int64_t walk_list(const filz_mmap *heap, const struct lists *lists, int list)
{
    uint64_t count = newest_number(lists, list), number = count;
    const struct node *node = lists->newest[list];
    for (; node != NULL && number > 0 && is_sound(heap, node, number); number--)
        node = node->next;
    return node == NULL && number == 0 ? (int64_t)count : -1;
}

MAYBE_UNUSED static bool is_running(pid_t child)
{
    siginfo_t info = {.si_signo = 0};
    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo == 0;
}

/* A process that was killed may have its lock for a moment longer, if another one looks at it in /proc just then. */
static int open_after_a_kill(filz_mmap *heap)
{
    int error, tries = 0;
    while ((error = filz_mmap_open(heap)) == FILZ_EINUSE && ++tries < 10000)
        usleep(1000);
    return error;
}

/* Opens the heap, if it isn't. Its lists, made if there are none yet; NULL if either fails. */
MAYBE_UNUSED static struct lists *lists_of(filz_mmap *heap)
{
    if (open_after_a_kill(heap) != 0)
        return NULL;
    struct lists *lists = filz_mmap_root(heap);
    if (lists != NULL)
        return lists;
    lists = filz_mmap_alloc_zeroed(heap, sizeof(*lists), _Alignof(struct lists));
    return lists != NULL && filz_mmap_set_root(heap, lists) == 0 ? lists : NULL;
}

/* -- A file, and whether it stays as it is ------------------------------------------------------------------------- */

struct snapshot {
    struct stat status;
    char *bytes;
};

MAYBE_UNUSED static struct snapshot snapshot_of(const char *path)
{
    struct snapshot snapshot;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &snapshot.status), 0);
    size_t size = (size_t)snapshot.status.st_size;
    snapshot.bytes = malloc(size + 1);
    assert_int_equal(pread(fd, snapshot.bytes, size, 0), size);
    close(fd);
    return snapshot;
}

/* Byte for byte, and in size, mode and time. Frees the snapshot. */
MAYBE_UNUSED static void assert_as_it_was(const char *path, struct snapshot before)
{
    struct snapshot now = snapshot_of(path);
    assert_int_equal(now.status.st_ino, before.status.st_ino);
    assert_int_equal(now.status.st_size, before.status.st_size);
    assert_int_equal(now.status.st_mode, before.status.st_mode);
    assert_int_equal(now.status.st_mtim.tv_sec, before.status.st_mtim.tv_sec);
    assert_int_equal(now.status.st_mtim.tv_nsec, before.status.st_mtim.tv_nsec);
    assert_memory_equal(now.bytes, before.bytes, (size_t)now.status.st_size);
    free(now.bytes);
    free(before.bytes);
}

MAYBE_UNUSED static void write_at(const char *path, size_t offset, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), size);
    assert_int_equal(close(fd), 0);
}

MAYBE_UNUSED static void read_at(const char *path, size_t offset, void *bytes, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, bytes, size, (off_t)offset), size);
    assert_int_equal(close(fd), 0);
}

MAYBE_UNUSED static struct fz_header header_of(const char *path)
{
    struct fz_header header;
    read_at(path, 0, &header, sizeof(header));
    return header;
}

#endif
