/* Every call that libfilz makes to the system fails, one by one, with each errno value that its manual page lists and
 * with short results. Whatever happens: no signal, a right errno, no block damaged, no descriptor, mapping or file left
 * behind, and a second try works. FILZ_TEST_PERCENT is how many of all faults to try. */
#include "support.h"

#include "faults.h"

#include <dirent.h>
#include <sys/mman.h>

#define TAG 1

/* -- What a program does with a heap ------------------------------------------------------------------------------- */

/* Strict: nothing may fail. Else what fails must fail as it should. */
static bool strict;

struct block {
    unsigned char *start;
    size_t size;
    int fill;
};

static struct block blocks[256];
static size_t block_count;

static int intact(void)
{
    for (size_t i = 0; i < block_count; i++)
        EXPECT(is_filled(blocks[i].start, blocks[i].fill, blocks[i].size));
    return 0;
}

static void fill(struct block *block, int byte)
{
    block->fill = byte;
    memset(block->start, byte, block->size);
}

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        if ((call) != 0)                                                                                               \
            return 1;                                                                                                  \
    } while (0)

static bool is_open(const filz_mmap *heap)
{
    filz_mmap_info info;
    return filz_mmap_stats(heap, &info) == 0;
}

/* Whether a heap that couldn't be opened because of the fault may say so. */
static bool is_right(int error)
{
    switch (faults->fault.error) {
    case FAULT_NOTHING: /* the file looks empty, or full */
    case FAULT_SHORT:   /* a short write; a short read of what stands in the file */
        return error == ENOSPC || error == EIO || error == FILZ_ENOTHEAP;
    case ENXIO: /* open(2) says it of a socket */
        return error == ENXIO || error == FILZ_ENOTFILE;
    case EOPNOTSUPP: /* so does that of the BSDs */
        return error == EOPNOTSUPP || (ON_POSIX && error == FILZ_ENOTFILE);
    case EINVAL: /* mmap(2) says it of a length, and is then taken to have no room for it */
        return error == EINVAL || error == ENOMEM;
    case ERANGE:
        return error == FILZ_EPATH;
    case EWOULDBLOCK: /* flock(2) says it of a file that is in use */
        return error == EWOULDBLOCK || error == FILZ_EINUSE;
    default:
        return error == faults->fault.error;
    }
}

/* After a block couldn't be had. */
static int failed_rightly(bool was_open, int error)
{
    EXPECT(!strict);
    EXPECT(error == ENOMEM || (!was_open && is_right(error)));
    return 0;
}

#define LEFT_ALONE 12345

static int allocate(filz_mmap *heap, size_t size, size_t align, bool zeroed)
{
    bool was_open = is_open(heap);
    errno = LEFT_ALONE;
    unsigned char *start = zeroed ? filz_mmap_alloc_zeroed(heap, size, align) : filz_mmap_alloc(heap, size, align);
    if (start == NULL)
        return failed_rightly(was_open, errno);
    EXPECT(errno == LEFT_ALONE);
    EXPECT(is_aligned(start, align) && filz_mmap_owns(heap, start) && filz_mmap_owns(heap, start + size - 1));
    EXPECT(!zeroed || is_filled(start, 0, size));
    EXPECT(block_count < COUNT(blocks));
    blocks[block_count] = (struct block){.start = start, .size = size};
    fill(&blocks[block_count], (int)block_count % 255 + 1);
    block_count++;
    return 0;
}

static int resize(filz_mmap *heap, size_t i, size_t new_size)
{
    if (i >= block_count)
        return 0;
    struct block *block = &blocks[i];
    errno = LEFT_ALONE;
    unsigned char *start = filz_mmap_realloc(heap, block->start, block->size, 1, new_size);
    if (start == NULL)
        return failed_rightly(true, errno);
    EXPECT(errno == LEFT_ALONE);
    block->start = start;
    EXPECT(is_filled(start, block->fill, block->size < new_size ? block->size : new_size));
    block->size = new_size;
    fill(block, block->fill);
    return 0;
}

static int look(filz_mmap *heap)
{
    unsigned char pages[64];
    filz_mmap_info info;
    if (filz_mmap_stats(heap, &info) != 0)
        return 0;
    EXPECT(info.used <= info.in_chunks && info.in_chunks <= info.committed && info.committed <= info.capacity);
    EXPECT(pages_of(heap, 0, COUNT(pages), pages) > 0);
    EXPECT((pages[0] & FILZ_PAGE_KIND) == FILZ_PAGE_USED);
    return 0;
}

/* A named file is as long as the heap says: what an extension took that failed is given back. */
static int file_is_as_long_as_the_heap(filz_mmap *heap)
{
    filz_mmap_info info;
    struct stat status;
    if (filz_mmap_stats(heap, &info) != 0 || info.path == NULL || stat(info.path, &status) != 0)
        return 0;
    EXPECT((size_t)status.st_size == info.committed);
    return 0;
}

/* Small blocks, a large one, several extensions of the file, blocks resized where they stand and moved. */
static int use(filz_mmap *heap)
{
    for (size_t i = 0; i < 20; i++)
        TRY(allocate(heap, 700 * (i + 1), (size_t)1 << i % 13, i % 2));
    TRY(allocate(heap, 300 * KIB, 4096, true));
    for (size_t i = 0; i < 4; i++)
        TRY(allocate(heap, 60 * KIB, 16, false));
    TRY(resize(heap, block_count - 1, 90 * KIB));
    TRY(resize(heap, block_count - 1, 400 * KIB));
    TRY(resize(heap, block_count - 1, 380 * KIB));
    TRY(resize(heap, 3, 20 * KIB));
    TRY(look(heap));
    return intact();
}

static void *use_in_thread(void *heap)
{
    for (size_t i = 0; i < 3; i++)
        if (allocate(heap, 10 * KIB, 8, false) != 0)
            return heap;
    return NULL;
}

static int use_from_threads(filz_mmap *heap)
{
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        void *failed;
        EXPECT(pthread_create(&thread, NULL, use_in_thread, heap) == 0);
        EXPECT(pthread_join(thread, &failed) == 0 && failed == NULL);
    }
    return intact();
}

static int use_and_reset(filz_mmap *heap)
{
    TRY(use(heap));
    EXPECT(filz_mmap_reset(heap) == 0);
    block_count = 0;
    return use(heap);
}

static int use_in_child(void *heap)
{
    TRY(intact());
    for (size_t i = 0; i < block_count; i++)
        fill(&blocks[i], 255);
    TRY(use(heap));
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

static bool failed(const char *call)
{
    const struct fault *fault = &faults->fault;
    return fault->call != NULL &&
           (strcmp(fault->call->name, call) == 0 || (fault->broken && strcmp(call, "ftruncate") == 0));
}

static void close_descriptors(void)
{
    bool were_on = faults_on;
    faults_on = false;
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    faults_on = were_on;
}

static int use_without_descriptor(filz_mmap *heap)
{
    TRY(use(heap));
    close_descriptors();
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
    TRY(use(heap));
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
    {.name = "a directory", .body = use, .directory = "directory"},
    {.name = "a directory, second heap", .body = use, .directory = "directory", .second = true},
    {.name = "memory/", .body = use, .memory = true},
    {.name = "unnamed", .body = use},
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
    {.name = "exit, second heap", .body = use, .directory = "directory", .second = true, .exits = true},
    {.name = "it can't be opened", .body = use_in_vain, .path = "missing/heap.filz", .in_vain = true},
    {.name = "no fallocate", .body = use_and_fork, .path = "heap.filz", .lacks = {.fallocate = EOPNOTSUPP}},
    {.name = "no O_TMPFILE", .body = use_and_fork, .lacks = {.tmpfile = EOPNOTSUPP}},
    {.name = "no O_TMPFILE in the kernel", .body = use, .lacks = {.tmpfile = EISDIR}},
    {.name = "no O_TMPFILE, says ENOENT", .body = use, .lacks = {.tmpfile = ENOENT}},
    {.name = "memfd only", .body = use_and_fork, .lacks = {.directories = EROFS}},
    {.name = "no MADV_POPULATE_WRITE", .body = use, .lacks = {.populate = EINVAL}},
    {.name = "no MADV_WIPEONFORK", .body = use_and_fork, .path = "heap.filz", .lacks = {.wipe_on_fork = EINVAL}},
    {.name = "no SEEK_DATA", .body = use_and_fork, .path = "heap.filz", .lacks = {.seek = EINVAL}},
    {.name = "in core dumps", .body = use, .path = "heap.filz", .dumped = true},
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
    *heap = (filz_mmap){.path = scenario->path, .capacity = 64 * MIB, .tag = TAG};
    heap->flags = (scenario->dumped ? FILZ_MMAP_DUMP : 0) | (scenario->persistent ? FILZ_MMAP_PERSISTENT : 0);
    heap->flags |= scenario->shared ? FILZ_MMAP_SHARED : 0;
    setenv("FILZ_QUIET", "1", 1);
    setenv("TMPDIR", fresh_directory, 1);
    static const char *const kept[] = {"heap.filz", "directory/test-faults.filz", "memory/test-faults.filz"};
    for (size_t i = 0; i < COUNT(kept); i++)
        EXPECT(unlink(kept[i]) == 0 || errno == ENOENT);
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

/* -- What must not be left behind ---------------------------------------------------------------------------------- */

struct traces {
    int descriptors;
    size_t pages;
};

/* Without the canary of fork.c, which stays. */
static size_t mapped_pages(void)
{
    char text[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
        return 0;
    close(fd);
    return strtoul(text, NULL, 10);
}

static struct traces traces_now(void)
{
    struct traces traces = {0, mapped_pages()};
    for (int fd = 0; fd < 64; fd++)
        traces.descriptors += fcntl(fd, F_GETFD) >= 0;
    return traces;
}

/* A descriptor that can't be asked whether it is the heap's is left open: it may be the program's. */
static int nothing_left_open(struct traces before)
{
    struct traces now = traces_now();
    EXPECT(now.descriptors <= before.descriptors || failed("fstat") || failed("fcntl"));
    EXPECT(now.pages <= before.pages + 1 || failed("munmap") || SANITIZED);
    return 0;
}

/* A file that can't be removed, or of which it can't be said whether it is the heap's. */
static bool may_be_left(void)
{
    return failed("unlink") || failed("lstat") || failed("fstat") || failed("flock") || failed("pread");
}

static int unexpected_files_in(const char *directory)
{
    DIR *entries = opendir(directory);
    if (entries == NULL)
        return 0;
    static const char *const expected[] = {".", "..", "directory", "memory", "heap.filz", "test-faults.filz"};
    int unexpected = 0;
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        bool known = false;
        for (size_t i = 0; i < COUNT(expected); i++)
            known |= strcmp(entry->d_name, expected[i]) == 0;
        if (known)
            continue;
        unexpected++;
        if (!may_be_left())
            fprintf(stderr, "left behind: %s/%s\n", directory, entry->d_name);
        unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
    return unexpected;
}

static int no_file_left(void)
{
    int files = unexpected_files_in(".") + unexpected_files_in("directory") + unexpected_files_in("memory");
    EXPECT(files == 0 || may_be_left());
    return 0;
}

/* -- One run ------------------------------------------------------------------------------------------------------- */

static void *do_nothing(void *nothing)
{
    return nothing;
}

/* The C library keeps the stack of a thread that ended for the next one. */
static int make_stacks(void)
{
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, do_nothing, NULL) == 0 && pthread_join(thread, NULL) == 0);
    return 0;
}

static int go_on(const struct scenario *scenario, filz_mmap *heap)
{
    bool was_strict = strict;
    strict = true;
    if (!failed("ftruncate"))
        TRY(file_is_as_long_as_the_heap(heap));
    TRY(allocate(heap, 20 * KIB, 8, true));
    TRY(allocate(heap, 500 * KIB, 8, true));
    TRY(look(heap));
    TRY(intact());
    strict = was_strict;
    return scenario->in_vain;
}

/* The heap that is left to the exit. */
static filz_mmap exited;

/* Runs after the library's own, which has finished the file. */
__attribute__((destructor(101))) static void use_after_exit(void)
{
    if (!is_open(&exited))
        return;
    faults_on = false;
    strict = true;
    for (size_t i = 0; i < 4; i++)
        if (allocate(&exited, MIB, 8, true) != 0 || intact() != 0)
            _exit(1);
}

/* The scenario with the fault, then again without. */
static int run(void *context)
{
    const struct scenario *scenario = context;
    filz_mmap heap, first;
    TRY(make_stacks());
    TRY(prepare(scenario, &heap, &first));
    struct traces before = traces_now();
    strict = faults->fault.call == NULL;
    faults_on = true;
    TRY(scenario->body(&heap));
    faults_on = false;
    if (!scenario->in_vain)
        TRY(go_on(scenario, &heap));
    faults_on = true;
    if (scenario->exits) {
        exited = heap;
        return 0;
    }
    EXPECT(filz_mmap_close(&heap) == 0);
    faults_on = false;
    block_count = 0;
    TRY(nothing_left_open(before));
    if (failed("fstat") || failed("fcntl") || failed("munmap"))
        return 0; /* what was left has the lock */
    faults->over = strict = faults_on = true;
    TRY(scenario->body(&heap));
    EXPECT(filz_mmap_close(&heap) == 0);
    faults_on = false;
    return filz_mmap_close(&first);
}

static int run_with(const struct scenario *scenario, struct fault fault)
{
    faults->fault = fault;
    faults->lacks = scenario->lacks;
    faults->over = false;
    faults->injected = 0;
    faults->calls[FAULTS_PARENT] = faults->calls[FAULTS_CHILD] = 0;
    pid_t child = fork();
    if (child != 0) {
        int status = end_child(child);
        return status != 0 ? status : no_file_left();
    }
    faults->owner = getpid();
    static const int caught_by_cmocka[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    for (size_t i = 0; i < COUNT(caught_by_cmocka); i++)
        signal(caught_by_cmocka[i], SIG_DFL);
    alarm(PATIENCE);
    exit(run((void *)scenario));
}

static int runs, injected, wrong;

static void inject(const struct scenario *scenario, struct fault fault)
{
    int status = run_with(scenario, fault);
    runs++;
    injected += faults->injected;
    if (status == 0 && faults->injected > 0)
        return;
    wrong++;
    print_message("%s: %s, the %s's call %d: %s%s: %s (%d)\n", scenario->name, fault.call->name,
                  fault.role == FAULTS_CHILD ? "child" : "parent", fault.index,
                  fault.error == FAULT_SHORT     ? "a short result"
                  : fault.error == FAULT_NOTHING ? "nothing done"
                                                 : strerror(fault.error),
                  fault.lasting ? " from then on" : "", faults->injected > 0 ? "failed" : "not reached", status);
}

static void assert_all_went_well(void)
{
    print_message("%d faults injected in %d runs\n", injected, runs);
    assert_int_equal(wrong, 0);
    assert_true(runs > 0);
}

/* Which calls the scenario makes, and what it makes of them when none fails. */
static struct faults recorded;

static void record(const struct scenario *scenario)
{
    int status = run_with(scenario, (struct fault){0});
    if (status != 0)
        print_message("%s, no fault: failed with %d\n", scenario->name, status);
    assert_int_equal(status, 0);
    recorded = *faults;
    assert_in_range(recorded.calls[FAULTS_PARENT], 1, FAULTS_TRACE_MAX);
    assert_in_range(recorded.calls[FAULTS_CHILD], 0, FAULTS_TRACE_MAX);
}

static void inject_all(const struct scenario *scenario, enum faults_role role)
{
    size_t percent = rounds_of(100);
    static size_t turn;
    for (int i = 0; i < recorded.calls[role]; i++)
        for (const int *error = recorded.trace[role][i]->errors; *error != 0; error++)
            if (turn++ * percent % 100 < percent)
                inject(scenario, (struct fault){recorded.trace[role][i], role, i, *error, false, false});
}

static void each_call_fails_with_each_errno(void **state)
{
    (void)state;
    runs = injected = wrong = 0;
    for (size_t i = 0; i < COUNT(scenarios); i++) {
        record(&scenarios[i]);
        int runs_before = runs;
        inject_all(&scenarios[i], FAULTS_PARENT);
        inject_all(&scenarios[i], FAULTS_CHILD);
        print_message("%-40s %4d calls, %3d in the child; %5d runs\n", scenarios[i].name, recorded.calls[FAULTS_PARENT],
                      recorded.calls[FAULTS_CHILD], runs - runs_before);
    }
    assert_all_went_well();
}

/* From each call that extends a file on, until the heap is left in peace. */
static void inject_from_each_extension_on(struct fault fault)
{
    runs = injected = wrong = 0;
    for (size_t i = 0; i < COUNT(scenarios); i++) {
        record(&scenarios[i]);
        for (int role = FAULTS_PARENT; role <= FAULTS_CHILD; role++) {
            for (int j = 0; j < recorded.calls[role]; j++) {
                fault.call = recorded.trace[role][j];
                fault.role = (enum faults_role)role;
                fault.index = j;
                if (strcmp(fault.call->name, "fallocate") == 0 || strncmp(fault.call->name, "pwrite", 6) == 0)
                    inject(&scenarios[i], fault);
            }
        }
    }
    assert_all_went_well();
}

static void the_disk_is_full_from_each_extension_on(void **state)
{
    (void)state;
    inject_from_each_extension_on((struct fault){.error = ENOSPC, .lasting = true});
}

/* What was begun can't be taken back either. */
static void the_disk_breaks_at_each_extension(void **state)
{
    (void)state;
    inject_from_each_extension_on((struct fault){.error = EIO, .lasting = true, .broken = true});
}

/* -- At load ------------------------------------------------------------------------------------------------------- */

static int run_program(void *failing)
{
    setenv("FAULTS_AT_LOAD", failing, 1);
    execl("/proc/self/exe", "test-faults", "after loading", (char *)NULL);
    return 1;
}

static void a_call_that_fails_at_load_leaves_a_working_heap(void **state)
{
    (void)state;
    static char *const calls[] = {"pthread_key_create", "pthread_atfork"};
    for (size_t i = 0; i < COUNT(calls); i++)
        assert_int_equal(in_child(run_program, calls[i]), 0);
}

static int after_loading(void)
{
    filz_mmap heap = {.path = "heap.filz"};
    strict = true;
    TRY(use(&heap));
    TRY(use_from_threads(&heap));
    return filz_mmap_close(&heap);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return after_loading();
    faults = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (faults == MAP_FAILED)
        return 1;
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(each_call_fails_with_each_errno),
        IN_FRESH_DIRECTORY(the_disk_is_full_from_each_extension_on),
        IN_FRESH_DIRECTORY(the_disk_breaks_at_each_extension),
        IN_FRESH_DIRECTORY(a_call_that_fails_at_load_leaves_a_working_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
