/* Scenarios, in each of which every call to the system may be the one that fails: where a heap is, what it is used for,
 * what the system lacks. */
#ifndef FILZ_TESTS_FAULT_SCENARIOS_H
#define FILZ_TESTS_FAULT_SCENARIOS_H

#include "descriptors.h"
#include "fault_use.h"
#include "heap_files.h"

/* -- What is done with the heap ------------------------------------------------------------------------------------ */

static int use_and_reset(filz_mmap *heap)
{
    TRY(use_heap(heap));
    EXPECT(filz_mmap_reset(heap) == 0);
    block_count = 0;
    return use_heap(heap);
}

static int use_in_child(void *heap)
{
    TRY(intact());
    for (size_t i = 0; i < block_count; i++)
        fill(&blocks[i], 255);
    TRY(use_heap(heap));
    faults_on = false;
    return filz_mmap_close(heap);
}

/* A child that can get no memory of its own goes on with its parent's, but gets no block there. */
static bool may_share;

/* Parent and child keep their blocks apart, and both go on. */
static int use_and_fork(filz_mmap *heap)
{
    TRY(use_from_threads(heap));
    TRY(allocate(heap, 100 * KIB, 64, false));
    pid_t child = fork();
    if (child == 0)
        _exit(use_in_child(heap));
    EXPECT(end_child(child) == 0);
    if (may_share)
        block_count = 0;
    TRY(intact());
    TRY(allocate(heap, 100 * KIB, 64, false));
    return intact();
}

static int use_without_descriptor(filz_mmap *heap)
{
    TRY(use_heap(heap));
    faults_on = false;
    close_descriptors(64);
    faults_on = true;
    may_share = faults->fault.role == FAULTS_CHILD && failed("mmap");
    return use_and_fork(heap);
}

/* Whether it can't know whether others read the heap: its lock fails, or the look at its descriptor does, after which
 * the file is opened again, and the lock is the other descriptor's. */
static bool refuses_reset(const filz_mmap *heap, int error)
{
    bool is_right =
        error == faults->fault.error || error == EBADF || (error == EBUSY && (failed("flock") || failed("fcntl")));
    return !strict && (heap->flags & FILZ_MMAP_SHARED) != 0 && is_right;
}

/* Leaves a tail that is worth cutting, by close or exit. */
static int use_much_and_reset(filz_mmap *heap)
{
    TRY(allocate(heap, 12 * MIB, 8, false));
    int error = filz_mmap_reset(heap);
    EXPECT(error == 0 || refuses_reset(heap, error));
    if (error == 0)
        block_count = 0;
    return allocate(heap, 1000, 8, false);
}

/* Large enough for the memory that there is to matter. */
MAYBE_UNUSED static int use_advised(filz_mmap *heap)
{
    TRY(allocate(heap, 17 * MIB, 8, false));
    int error = filz_mmap_advise(heap, NULL, 0, FILZ_ADVICE_SEQUENTIAL);
    EXPECT(error == (is_open(heap) ? 0 : FILZ_ECLOSED));
    if (block_count > 0)
        EXPECT(filz_mmap_advise(heap, blocks[0].start, MIB, FILZ_ADVICE_WILL_NEED) == 0);
    TRY(allocate(heap, 1000, 8, false));
    return intact();
}

/* What the file of a persistent heap held before it was opened. */
static char contents[256 * KIB];
static size_t contents_size;

static void remember_contents(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, contents, sizeof(contents)) : 0;
    contents_size = size > 0 ? (size_t)size : 0;
    close(fd);
}

/* What was new may be there, without a heap. */
static int contents_are_as_they_were(const char *path)
{
    static char now[sizeof(contents)];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, now, sizeof(now)) : 0;
    close(fd);
    EXPECT(contents_size == 0 || (size_t)size == contents_size);
    EXPECT(memcmp(now, contents, contents_size) == 0);
    return 0;
}

static int open_persistent(filz_mmap *heap)
{
    int error = filz_mmap_open(heap);
    if (error == 0)
        return 0;
    bool were_on = faults_on;
    faults_on = false;
    int changed = contents_are_as_they_were(heap->path);
    faults_on = were_on;
    EXPECT(!strict && (is_right(error)) && changed == 0);
    return 0;
}

/* On Linux, sync needs no descriptor. Elsewhere it may find that the one it needs isn't the heap's any more. */
static bool has_lost_descriptor(int error)
{
    return ON_POSIX && error == EBADF && (failed("fstat") || failed("fcntl"));
}

/* Sets the root, which no system call is needed for, and syncs. */
static int use_root(filz_mmap *heap)
{
    void *root = block_count > 0 ? blocks[0].start : NULL;
    EXPECT(filz_mmap_set_root(heap, root) == (is_open(heap) ? 0 : FILZ_ECLOSED));
    EXPECT(filz_mmap_root(heap) == (is_open(heap) ? root : NULL));
    int error = filz_mmap_sync(heap);
    EXPECT(error == 0 || (error == FILZ_ECLOSED && !is_open(heap)) ||
           (!strict && (error == faults->fault.error || has_lost_descriptor(error))));
    return 0;
}

/* What the last run left is there, and goes on. */
static int use_persistent(filz_mmap *heap)
{
    TRY(open_persistent(heap));
    const char *root = filz_mmap_root(heap);
    EXPECT(contents_size == 0 || !is_open(heap) || (root != NULL && *root == 1));
    TRY(use_heap(heap));
    TRY(use_root(heap));
    return intact();
}

static int use_persistent_and_fork(filz_mmap *heap)
{
    TRY(open_persistent(heap));
    return use_and_fork(heap);
}

/* Leaves a heap with a root for the scenario to open. */
static int leave_persistent(const filz_mmap *settings)
{
    filz_mmap heap = *settings;
    faults_on = false;
    EXPECT(filz_mmap_open(&heap) == 0);
    strict = true;
    TRY(allocate(&heap, 3 * KIB, 8, false));
    EXPECT(filz_mmap_set_root(&heap, blocks[0].start) == 0);
    EXPECT(filz_mmap_close(&heap) == 0);
    block_count = 0;
    remember_contents(settings->path);
    return 0;
}

/* The heap can't be opened, and says so on standard error. */
static int use_in_vain(filz_mmap *heap)
{
    unsetenv("FILZ_QUIET");
    faults_on = false;
    int before = dup(STDERR_FILENO);
    EXPECT(freopen("/dev/null", "w", stderr) != NULL);
    faults_on = true;
    bool allocated = filz_mmap_alloc(heap, 1, 1) != NULL;
    int error = errno;
    faults_on = false;
    EXPECT(dup2(before, STDERR_FILENO) == STDERR_FILENO && close(before) == 0);
    faults_on = true;
    EXPECT(!allocated);
    EXPECT(error == ENOENT || error == ENOMEM || is_right(error));
    return 0;
}

/* -- Scenarios ----------------------------------------------------------------------------------------------------- */

struct scenario {
    const char *name;
    int (*body)(filz_mmap *);
    const char *path;      /* of the heap */
    const char *directory; /* FILZ_DIR */
    bool memory;           /* there is a directory memory/ */
    bool second;           /* another heap has the file in the directory */
    bool private;          /* FILZ_FORK=private */
    bool exits;            /* without closing the heap */
    bool dumped;           /* FILZ_MMAP_DUMP */
    bool in_vain;          /* it can't be opened */
    bool persistent;       /* FILZ_MMAP_PERSISTENT */
    bool shared;           /* FILZ_MMAP_SHARED */
    bool left;             /* by the run before */
    struct faults_lacks lacks;
};

static const struct scenario scenarios[] = {
    {.name = "a path", .body = use_and_reset, .path = "heap.filz"},
    {.name = "a directory", .body = use_heap, .directory = "directory"},
    {.name = "a directory, second heap", .body = use_heap, .directory = "directory", .second = true},
    {.name = "memory/", .body = use_heap, .memory = true},
    {.name = "unnamed", .body = use_heap},
    {.name = "threads", .body = use_from_threads, .path = "heap.filz"},
    {.name = "fork", .body = use_and_fork, .path = "heap.filz"},
    {.name = "fork, unnamed", .body = use_and_fork},
    {.name = "fork, second heap", .body = use_and_fork, .directory = "directory", .second = true},
    {.name = "fork, private", .body = use_and_fork, .path = "heap.filz", .private = true},
    {.name = "descriptors closed", .body = use_without_descriptor, .path = "heap.filz"},
    {.name = "descriptors closed, unnamed", .body = use_without_descriptor},
    {.name = "descriptors closed, unnamed, private", .body = use_without_descriptor, .private = true},
    {.name = "close cuts the tail", .body = use_much_and_reset, .path = "heap.filz"},
    {.name = "exit cuts the tail", .body = use_much_and_reset, .path = "heap.filz", .exits = true},
    {.name = "exit, second heap", .body = use_heap, .directory = "directory", .second = true, .exits = true},
    {.name = "it can't be opened", .body = use_in_vain, .path = "missing/heap.filz", .in_vain = true},
    {.name = "no fallocate", .body = use_and_fork, .path = "heap.filz", .lacks = {.fallocate = EOPNOTSUPP}},
    {.name = "no O_TMPFILE", .body = use_and_fork, .lacks = {.tmpfile = EOPNOTSUPP}},
    {.name = "no O_TMPFILE in the kernel", .body = use_heap, .lacks = {.tmpfile = EISDIR}},
    {.name = "no O_TMPFILE, says ENOENT", .body = use_heap, .lacks = {.tmpfile = ENOENT}},
    {.name = "memfd only", .body = use_and_fork, .lacks = {.directories = EROFS}},
    {.name = "no MADV_POPULATE_WRITE", .body = use_heap, .lacks = {.populate = EINVAL}},
    {.name = "no MADV_WIPEONFORK", .body = use_and_fork, .path = "heap.filz", .lacks = {.wipe_on_fork = EINVAL}},
    {.name = "no SEEK_DATA", .body = use_and_fork, .path = "heap.filz", .lacks = {.seek = EINVAL}},
    {.name = "in core dumps", .body = use_heap, .path = "heap.filz", .dumped = true},
    {.name = "persistent, new", .body = use_persistent, .path = "heap.filz", .persistent = true},
    {.name = "persistent, opened again", .body = use_persistent, .path = "heap.filz", .persistent = true, .left = true},
    {.name = "persistent, fork",
     .body = use_persistent_and_fork,
     .path = "heap.filz",
     .persistent = true,
     .left = true},
    {.name = "persistent, exit",
     .body = use_persistent,
     .path = "heap.filz",
     .persistent = true,
     .left = true,
     .exits = true},
    {.name = "persistent, close cuts the tail",
     .body = use_much_and_reset,
     .path = "heap.filz",
     .persistent = true,
     .left = true},
    {.name = "persistent, no fallocate",
     .body = use_persistent,
     .path = "heap.filz",
     .persistent = true,
     .left = true,
     .lacks = {.fallocate = EOPNOTSUPP}},
#if !ON_POSIX /* there a large block is written, and a heap that is shared can't be opened */
    {.name = "advised", .body = use_advised, .path = "heap.filz"},
    {.name = "shared, new", .body = use_persistent, .path = "heap.filz", .shared = true},
    {.name = "shared, opened again", .body = use_persistent, .path = "heap.filz", .shared = true, .left = true},
    {.name = "shared, reset", .body = use_much_and_reset, .path = "heap.filz", .shared = true, .left = true},
#endif
};

static int prepare(const struct scenario *scenario, filz_mmap *heap, filz_mmap *first)
{
    *first = (filz_mmap)FILZ_MMAP_INIT;
    *heap = (filz_mmap){.path = scenario->path, .capacity = 64 * MIB, .tag = 1};
    heap->flags = (scenario->dumped ? FILZ_MMAP_DUMP : 0) | (scenario->persistent ? FILZ_MMAP_PERSISTENT : 0);
    heap->flags |= scenario->shared ? FILZ_MMAP_SHARED : 0;
    setenv("FILZ_QUIET", "1", 1);
    setenv("TMPDIR", fresh_directory, 1);
    static const char *const directories[] = {"directory", "memory"};
    EXPECT(unlink("heap.filz") == 0 || errno == ENOENT);
    for (size_t i = 0; i < COUNT(directories); i++)
        EXPECT(unlink(default_path(directories[i])) == 0 || errno == ENOENT);
    EXPECT(mkdir("directory", 0700) == 0 || errno == EEXIST);
    EXPECT(scenario->memory || rmdir("memory") == 0 || errno == ENOENT);
    EXPECT(!scenario->memory || mkdir("memory", 0700) == 0 || errno == EEXIST);
    if (scenario->directory)
        setenv("FILZ_DIR", scenario->directory, 1);
    if (scenario->private)
        setenv("FILZ_FORK", "private", 1);
    EXPECT(!scenario->second || filz_mmap_open(first) == 0);
    contents_size = 0;
    return scenario->left ? leave_persistent(heap) : 0;
}

#endif
