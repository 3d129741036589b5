/* Children that are made without the handlers of pthread_atfork(3), by _Fork or clone(2): they share their parent's
 * heap until they need more than their thread's chunk has. Then they have none any more, and whatever they do, the
 * heap and its file are as the parent left them. */
#include "clones.h"
#include "endings.h"

enum { OLD_SIZE = 1000, NEW_SIZE = 300 * 1024, TAG = 11 };

/* -- Making such a child ------------------------------------------------------------------------------------------- */

/* glibc has it from 2.34 on. */
#pragma weak _Fork
extern pid_t _Fork(void);

struct maker {
    const char *name;
    pid_t (*make)(void);
};

static const struct maker makers[] = {{"clone", clone_without_handlers}, {"_Fork", _Fork}};

static bool can_make(const struct maker *maker)
{
    if (maker->make == NULL)
        print_message("not tried: this C library has no %s\n", maker->name);
    return maker->make != NULL;
}

/* -- The parent ---------------------------------------------------------------------------------------------------- */

struct parent {
    filz_mmap heap;
    char *old, *last; /* blocks, the first one the root, the other at the heap's end */
    const char *path; /* of the file; NULL: unnamed */
    char *bytes;      /* of the file before the child was made */
    struct stat status;
};

static char *read_file(const char *path, struct stat *status)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, status), 0);
    size_t size = (size_t)status->st_size;
    char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, size, 0), size);
    close(fd);
    return bytes;
}

static void begin_parent(struct parent *parent, filz_mmap settings)
{
    *parent = (struct parent){.heap = settings};
    parent->heap.capacity = 8 * MIB;
    parent->old = filz_mmap_alloc(&parent->heap, OLD_SIZE, 1);
    parent->last = filz_mmap_alloc(&parent->heap, NEW_SIZE, 1);
    assert_true(parent->old && parent->last);
    memset(parent->old, 'p', OLD_SIZE);
    assert_int_equal(filz_mmap_set_root(&parent->heap, parent->old), 0);
    parent->path = stats_of(&parent->heap).path;
    if (parent->path == NULL)
        return;
    assert_int_equal(filz_mmap_sync(&parent->heap), 0);
    parent->bytes = read_file(parent->path, &parent->status);
}

/* Not removed, not cut, no byte changed, and still locked. */
static void assert_file_is_as_it_was(const struct parent *parent)
{
    struct stat status;
    char *bytes = read_file(parent->path, &status);
    assert_int_equal(status.st_ino, parent->status.st_ino);
    assert_int_equal(status.st_size, parent->status.st_size);
    assert_int_equal(status.st_mode, parent->status.st_mode);
    assert_memory_equal(bytes, parent->bytes, (size_t)status.st_size);
    free(bytes);
    filz_mmap other = {.path = parent->path, .capacity = MIB, .flags = parent->heap.flags, .tag = parent->heap.tag};
    assert_int_equal(filz_mmap_open(&other), FILZ_EINUSE);
}

/* The heap goes on, and can be opened again if it is persistent. */
static void end_parent(struct parent *parent)
{
    if (parent->path != NULL)
        assert_file_is_as_it_was(parent);
    free(parent->bytes);
    assert_true(is_filled(parent->old, 'p', OLD_SIZE));
    assert_ptr_equal(filz_mmap_root(&parent->heap), parent->old);
    assert_int_equal(stats_of(&parent->heap).blocks, 2);
    char *block = filz_mmap_alloc_zeroed(&parent->heap, NEW_SIZE, 1);
    assert_true(block && is_filled(block, 0, NEW_SIZE));
    assert_int_equal(filz_mmap_close(&parent->heap), 0);
    if (!(parent->heap.flags & FILZ_MMAP_PERSISTENT))
        return;
    assert_int_equal(filz_mmap_open(&parent->heap), 0);
    assert_ptr_equal(filz_mmap_root(&parent->heap), parent->old);
    assert_true(is_filled(parent->old, 'p', OLD_SIZE));
    assert_int_equal(filz_mmap_close(&parent->heap), 0);
}

/* -- The child ----------------------------------------------------------------------------------------------------- */

#define EXPECT_ENOMEM(block)                                                                                           \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        EXPECT((block) == NULL && errno == ENOMEM);                                                                    \
    } while (0)

/* The first is more than any chunk has room for; after that not even the chunk is the child's. */
static int allocations_are_refused(const struct parent *parent, filz_mmap *heap)
{
    EXPECT_ENOMEM(filz_mmap_realloc(heap, parent->last, NEW_SIZE, 1, 3 * NEW_SIZE));
    EXPECT_ENOMEM(filz_mmap_alloc(heap, NEW_SIZE, 1));
    EXPECT_ENOMEM(filz_mmap_alloc(heap, 1, 1));
    EXPECT_ENOMEM(filz_mmap_alloc_zeroed(heap, 1, 1));
    EXPECT_ENOMEM(filz_mmap_realloc(heap, NULL, 0, 1, 1));
    EXPECT_ENOMEM(filz_mmap_realloc(heap, parent->old, OLD_SIZE, 1, 2 * OLD_SIZE));
    EXPECT(filz_mmap_realloc(heap, parent->old, OLD_SIZE, 1, OLD_SIZE / 2) == parent->old);
    EXPECT(filz_mmap_realloc(heap, parent->last, NEW_SIZE, 1, OLD_SIZE) == parent->last);
    filz_mmap_dealloc(heap, parent->old, OLD_SIZE, 1);
    EXPECT(is_filled(parent->old, 'p', SANITIZED_FOR_ADDRESSES ? OLD_SIZE / 2 : OLD_SIZE));
    return 0;
}

static int calls_return_EFORKED(const struct parent *parent, filz_mmap *heap)
{
    filz_mmap_info info;
    unsigned char states[4];
    size_t count = sizeof(states);
    EXPECT(filz_mmap_open(heap) == FILZ_EFORKED);
    EXPECT(filz_mmap_stats(heap, &info) == FILZ_EFORKED);
    EXPECT(filz_mmap_pages(heap, 0, &count, states) == FILZ_EFORKED && count == 0);
    EXPECT(filz_mmap_set_root(heap, NULL) == FILZ_EFORKED);
    EXPECT(filz_mmap_set_root(heap, parent->old) == FILZ_EFORKED);
    EXPECT(filz_mmap_sync(heap) == FILZ_EFORKED);
    EXPECT(filz_mmap_reset(heap) == FILZ_EFORKED);
    return 0;
}

/* Whether it has a heap or not, it isn't the first parent's. */
static int own_child_changes_nothing(filz_mmap *heap)
{
    pid_t child = fork();
    if (child == 0) {
        void *block = filz_mmap_alloc(heap, NEW_SIZE, 1);
        _exit(block == NULL || memset(block, 'g', NEW_SIZE) ? 0 : 1);
    }
    EXPECT(end_child(child) == 0);
    return 0;
}

struct life {
    bool asks_first, closes, exits;
};

static int live_as_a_child(struct parent *parent, struct life life)
{
    filz_mmap *heap = &parent->heap;
    EXPECT(is_filled(parent->old, 'p', OLD_SIZE));
    if (life.asks_first)
        EXPECT(calls_return_EFORKED(parent, heap) == 0);
    EXPECT(allocations_are_refused(parent, heap) == 0);
    EXPECT(calls_return_EFORKED(parent, heap) == 0);
    EXPECT(own_child_changes_nothing(heap) == 0);
    if (life.closes)
        EXPECT(filz_mmap_close(heap) == 0);
    return 0;
}

static void assert_child_changes_nothing(const struct maker *maker, filz_mmap settings, struct life life)
{
    struct parent parent;
    begin_parent(&parent, settings);
    fflush(NULL);
    pid_t child = maker->make();
    if (child == 0) {
        alarm(PATIENCE);
        int status = live_as_a_child(&parent, life);
        if (life.exits && status == 0)
            exit(status);
        _exit(status);
    }
    int status = end_child(child);
    if (status != 0)
        print_message("a child of %s, %s, %s, %s: %d\n", maker->name, settings.path ? settings.path : "no path",
                      life.closes ? "closes" : "doesn't close", life.exits ? "exit" : "_exit", status);
    assert_int_equal(status, 0);
    end_parent(&parent);
}

static void assert_lives_change_nothing(filz_mmap settings)
{
    bool can_exit = !SANITIZED; /* LeakSanitizer knows nothing of such a child */
    for (size_t i = 0; i < COUNT(makers); i++) {
        if (!can_make(&makers[i]))
            continue;
        for (int bits = 0; bits < 8; bits++) {
            struct life life = {.asks_first = bits & 1, .closes = bits & 2, .exits = bits & 4};
            if (life.exits && !can_exit)
                continue;
            assert_child_changes_nothing(&makers[i], settings, life);
            assert_true(settings.path == NULL || unlink(settings.path) == 0);
        }
    }
}

static void a_child_without_handlers_changes_nothing_in_its_parents_file(void **state)
{
    (void)state;
    NEED_WIPED_PAGES();
    assert_lives_change_nothing((filz_mmap){.path = "named.filz"});
    assert_int_equal(mkdir("directory", 0700), 0);
    assert_int_equal(setenv("FILZ_DIR", "directory", 1), 0);
    assert_lives_change_nothing((filz_mmap)FILZ_MMAP_INIT);
    assert_int_equal(entries_in("directory"), 1);
    assert_int_equal(unsetenv("FILZ_DIR"), 0);
}

static void nor_in_a_persistent_heap(void **state)
{
    (void)state;
    NEED_WIPED_PAGES();
    assert_lives_change_nothing((filz_mmap){.path = "persistent.filz", .flags = FILZ_MMAP_PERSISTENT, .tag = TAG});
}

static void nor_in_an_unnamed_file(void **state)
{
    (void)state;
    NEED_WIPED_PAGES();
    assert_int_equal(setenv("TMPDIR", ".", 1), 0);
    assert_lives_change_nothing((filz_mmap)FILZ_MMAP_INIT);
    assert_int_equal(unsetenv("TMPDIR"), 0);
    assert_int_equal(entries_in("."), 0);
}

/* -- What is left of the chunk ------------------------------------------------------------------------------------- */

enum { SMALL = 64 };

/* Not more than there was, and no new chunk. */
static int use_up_the_chunk(filz_mmap *heap, size_t tails)
{
    char *block;
    size_t count = 0;
    while ((block = filz_mmap_alloc(heap, SMALL, 1)) != NULL) {
        memset(block, 'c', SMALL);
        EXPECT(++count <= tails / SMALL);
    }
    EXPECT(errno == ENOMEM);
    EXPECT_ENOMEM(filz_mmap_alloc(heap, 1, 1));
    return 0;
}

static void a_child_has_what_is_left_of_its_threads_chunk_and_then_ENOMEM(void **state)
{
    (void)state;
    NEED_WIPED_PAGES();
    for (size_t i = 0; i < COUNT(makers); i++) {
        if (!can_make(&makers[i]))
            continue;
        filz_mmap heap = {.capacity = 8 * MIB};
        assert_non_null(filz_mmap_alloc(&heap, OLD_SIZE, 1));
        filz_mmap_info before = stats_of(&heap);
        pid_t child = makers[i].make();
        if (child == 0)
            _exit(use_up_the_chunk(&heap, before.in_chunks - before.used));
        assert_int_equal(end_child(child), 0);
        filz_mmap_info after = stats_of(&heap);
        assert_int_equal(after.in_chunks, before.in_chunks);
        assert_int_equal(after.committed, before.committed);
        assert_int_equal(after.chunks, before.chunks);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

static void *allocate_and_end(void *heap)
{
    return filz_mmap_alloc(heap, OLD_SIZE, 1);
}

/* The tail of the thread that has ended is for the parent's threads. */
static void a_child_of_a_thread_without_a_chunk_gets_none(void **state)
{
    (void)state;
    NEED_WIPED_PAGES();
    pthread_t thread;
    void *block;
    filz_mmap heap = {.capacity = 8 * MIB};
    assert_int_equal(pthread_create(&thread, NULL, allocate_and_end, &heap), 0);
    assert_int_equal(pthread_join(thread, &block), 0);
    assert_non_null(block);
    filz_mmap_info before = stats_of(&heap);
    pid_t child = clone_without_handlers();
    if (child == 0)
        _exit(use_up_the_chunk(&heap, 0));
    assert_int_equal(end_child(child), 0);
    assert_int_equal(stats_of(&heap).blocks, before.blocks);
    assert_int_equal(stats_of(&heap).in_chunks, before.in_chunks);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- Locks of threads that the child hasn't got -------------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    int *stop; /* atomic */
    int wrong;
};

/* Is in the allocator all the time, mostly where it is locked. */
static void *open_and_close(void *context)
{
    struct worker *worker = context;
    while (worker->wrong == 0 && !__atomic_load_n(worker->stop, __ATOMIC_RELAXED)) {
        filz_mmap own = {.capacity = MIB};
        void *block = filz_mmap_alloc(&own, NEW_SIZE, 1);
        worker->wrong = block == NULL || filz_mmap_close(&own) != 0;
    }
    return NULL;
}

static int refuse_at_once(filz_mmap *heap)
{
    filz_mmap_info info;
    alarm(PATIENCE);
    EXPECT_ENOMEM(filz_mmap_alloc(heap, NEW_SIZE, 1));
    EXPECT(filz_mmap_stats(heap, &info) == FILZ_EFORKED);
    return filz_mmap_close(heap);
}

static void a_child_waits_for_no_lock_of_its_parents_threads(void **state)
{
    (void)state;
    NEED_WIPED_PAGES();
    struct worker workers[3];
    int stop = 0, wrong = 0;
    filz_mmap heap = {.path = "named.filz", .capacity = 8 * MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    for (size_t i = 0; i < COUNT(workers); i++) {
        workers[i] = (struct worker){.stop = &stop};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, open_and_close, &workers[i]), 0);
    }
    size_t rounds = rounds_of(2000);
    for (size_t i = 0; i < rounds && wrong == 0; i++) {
        pid_t child = clone_without_handlers();
        if (child == 0)
            end_at_once(refuse_at_once(&heap));
        wrong = end_child_at_once(child);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i < COUNT(workers); i++)
        assert_true(pthread_join(workers[i].thread, NULL) == 0 && workers[i].wrong == 0);
    assert_int_equal(wrong, 0);
    assert_non_null(filz_mmap_alloc(&heap, NEW_SIZE, 1));
    assert_int_equal(filz_mmap_close(&heap), 0);
    print_message("%zu children beside %zu threads\n", rounds, COUNT(workers));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_child_without_handlers_changes_nothing_in_its_parents_file),
        IN_FRESH_DIRECTORY(nor_in_a_persistent_heap),
        IN_FRESH_DIRECTORY(nor_in_an_unnamed_file),
        IN_FRESH_DIRECTORY(a_child_has_what_is_left_of_its_threads_chunk_and_then_ENOMEM),
        IN_FRESH_DIRECTORY(a_child_of_a_thread_without_a_chunk_gets_none),
        IN_FRESH_DIRECTORY(a_child_waits_for_no_lock_of_its_parents_threads),
    };
    return cmocka_run_group_tests_name("fork_raw", tests, NULL, NULL);
}
