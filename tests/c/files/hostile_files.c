/* Heap files that were changed to do harm, opened to be read and as private copies. Each opens or is an error; whatever
 * the library then does with it ends, stays within the heap, and agrees with itself; and the file stays as it was.
 * FILZ_TEST_SEED draws other files; FILZ_TEST_ROUND tries one of them alone. */
#include "hostile_changes.h"
#include "persistent.h"
#include "threads.h"

#define ORIGINAL "original.filz"
#define HOSTILE "hostile.filz"

enum { ROUNDS = 10000, MOST_PAGES = 8192, ROOM = 8 << 20 };

/* -- The heaps that are changed ------------------------------------------------------------------------------------ */

/* Each thread takes a chunk while those before it have theirs. */
struct taker {
    filz_mmap *heap;
    size_t more;
};

static void *take_chunks(void *context)
{
    const struct taker *taker = context;
    struct taker next = {taker->heap, taker->more - 1};
    pthread_t thread;
    if (filz_mmap_alloc(taker->heap, 100, 8) == NULL)
        abort();
    if (taker->more > 0 && (pthread_create(&thread, NULL, take_chunks, &next) || pthread_join(thread, NULL)))
        abort();
    return NULL;
}

static void in_several_threads(filz_mmap *heap)
{
    in_thread(take_chunks, &(struct taker){heap, 3});
}

static void add_nodes(filz_mmap *heap)
{
    for (size_t i = 0; i < 20; i++)
        assert_true(add_node(heap, lists_of(heap), 0, 100) != 0);
}

static void small(filz_mmap *heap)
{
    add_nodes(heap);
}

static void of_several_threads(filz_mmap *heap)
{
    add_nodes(heap);
    in_several_threads(heap);
}

static void with_a_dedicated_chunk(filz_mmap *heap)
{
    add_nodes(heap);
    in_several_threads(heap);
    assert_true(add_node(heap, lists_of(heap), 1, 300 * KIB) != 0);
    in_several_threads(heap);
}

static void synced(filz_mmap *heap)
{
    add_nodes(heap);
    assert_int_equal(filz_mmap_sync(heap), 0);
    in_several_threads(heap);
    assert_int_equal(filz_mmap_sync(heap), 0);
    add_nodes(heap);
    assert_true(add_node(heap, lists_of(heap), 1, 300 * KIB) != 0);
}

static void reset(filz_mmap *heap)
{
    synced(heap);
    assert_int_equal(filz_mmap_reset(heap), 0);
    add_nodes(heap);
    in_several_threads(heap);
}

static struct original {
    const char *name;
    void (*fill)(filz_mmap *heap);
    unsigned flag;
    bool is_killed;
    struct file file;
} originals[] = {
    {"small", small, FILZ_MMAP_PERSISTENT, false, {0}},
    {"of several threads", of_several_threads, FILZ_MMAP_PERSISTENT, false, {0}},
    {"of several threads, killed", of_several_threads, FILZ_MMAP_PERSISTENT, true, {0}},
    {"with a dedicated chunk", with_a_dedicated_chunk, FILZ_MMAP_PERSISTENT, false, {0}},
    {"synced", synced, FILZ_MMAP_PERSISTENT, false, {0}},
    {"synced, killed", synced, FILZ_MMAP_PERSISTENT, true, {0}},
    {"reset", reset, FILZ_MMAP_PERSISTENT, false, {0}},
    /* not on POSIX, from here on */
    {"shared", with_a_dedicated_chunk, FILZ_MMAP_SHARED, false, {0}},
    {"shared, synced, killed", synced, FILZ_MMAP_SHARED, true, {0}},
};

static const size_t original_count = ON_POSIX ? COUNT(originals) - 2 : COUNT(originals);

/* Where one can be had: always the same, so that the files are. */
static void choose_base(void)
{
    uintptr_t start, size;
    filz_mmap heap = persistent_at(ORIGINAL);
    for (size_t i = 0; fz_os_quiet_range(i, &start, &size); i++) {
        heap.base = base = start + size / 2;
        if (filz_mmap_open(&heap) == 0)
            break;
    }
    page = stats_of(&heap).page_size;
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static int fill_and_end(void *context)
{
    const struct original *original = context;
    filz_mmap heap = persistent_at(ORIGINAL);
    heap.base = base;
    heap.flags = original->flag;
    original->fill(&heap);
    if (original->is_killed)
        _exit(0);
    return filz_mmap_close(&heap);
}

static struct file read_original(void)
{
    struct snapshot snapshot = snapshot_of(ORIGINAL);
    struct file file = {.bytes = (unsigned char *)snapshot.bytes, .size = (size_t)snapshot.status.st_size};
    assert_true(file.size + MOST_ADDED <= ROOM);
    struct fz_chunk chunk;
    for (size_t at = page; at < header_of(ORIGINAL).cursor; at += (size_t)chunk.size) {
        assert_true(file.count < MOST_CHUNKS);
        memcpy(&chunk, file.bytes + at, sizeof(chunk));
        file.chunks[file.count++] = at;
    }
    return file;
}

static int make_originals(void **state)
{
    int error = enter_fresh_directory(state);
    if (error != 0)
        return error;
    choose_base();
    for (size_t i = 0; i < original_count; i++) {
        remove(ORIGINAL);
        error |= in_child(fill_and_end, &originals[i]);
        originals[i].file = read_original();
    }
    return error;
}

static int free_originals(void **state)
{
    for (size_t i = 0; i < original_count; i++)
        free(originals[i].file.bytes);
    return leave_fresh_directory(state);
}

/* -- What is done with it ------------------------------------------------------------------------------------------ */

enum { MODES = 2, ERRORS = 512 };

/* What an open came to: an errno value at FIRST_ERRNO or after it, a FILZ_E constant before. */
enum { FIRST_ERRNO = 64 };

/* What the process that opens them has come to, for the one that waits for it. */
struct progress {
    size_t round, opened;
    size_t results[MODES][ERRORS];
};

static struct progress *progress;

/* What is said of a heap just opened. */
struct seen {
    bool opened;
    int error;
    size_t in_chunks, chunks, blocks;
    const void *root;
};

static int look_at(const filz_mmap *heap, struct seen *seen)
{
    static unsigned char states[MOST_PAGES];
    filz_mmap_info info;
    size_t count = MOST_PAGES, first = draw(4) ? 0 : draw(200);
    int error = filz_mmap_stats(heap, &info);
    EXPECT(error == 0 || error == FILZ_EDAMAGED);
    EXPECT(error != 0 || (info.used <= info.in_chunks && info.used >= page * (info.chunks != 0)));
    EXPECT(info.in_chunks % page == 0 && info.committed % page == 0);
    EXPECT(info.in_chunks <= info.committed && info.committed <= info.capacity && info.committed / page < MOST_PAGES);
    int same_error = filz_mmap_pages(heap, first, &count, states);
    size_t pages = first < info.committed / page ? info.committed / page - first : 0;
    EXPECT(same_error == (pages != 0 ? error : 0) && count == (error == 0 ? pages : 0));
    const char *root = filz_mmap_root(heap), *start = (const char *)heap->heap->backing.base;
    bool is_in_chunks = root >= start + page && root < start + info.in_chunks;
    EXPECT(root == NULL || (is_in_chunks && filz_mmap_owns(heap, root)));
    EXPECT(filz_mmap_owns(heap, start) && !filz_mmap_owns(heap, start - 1) && filz_mmap_is_current(heap));
    *seen = (struct seen){true, error, info.in_chunks, info.chunks, info.blocks, root};
    return 0;
}

/* One that is NULL is for want of memory. */
static int write_to(const filz_mmap *heap, char *block, size_t size, size_t align)
{
    EXPECT(block != NULL || errno == ENOMEM);
    if (block == NULL)
        return 0;
    EXPECT(is_aligned(block, align) && filz_mmap_owns(heap, block) && filz_mmap_owns(heap, block + size - 1));
    memset(block, 'h', size);
    return 0;
}

static int allocate(filz_mmap *heap)
{
    size_t size = 1 + draw(draw(4) ? 1000 : 400 * KIB), align = (size_t)1 << draw(draw(2) ? 6 : 16);
    EXPECT(write_to(heap, filz_mmap_alloc(heap, size, align), size, align) == 0);
    char *zeroed = filz_mmap_alloc_zeroed(heap, size, align);
    EXPECT(zeroed == NULL || is_filled(zeroed, 0, size));
    EXPECT(write_to(heap, zeroed, size, align) == 0);
    EXPECT(filz_mmap_set_root(heap, zeroed) == 0 && filz_mmap_root(heap) == zeroed);
    return 0;
}

static int use_private_copy(filz_mmap *heap)
{
    struct seen seen;
    EXPECT(allocate(heap) == 0 && look_at(heap, &seen) == 0);
    EXPECT(filz_mmap_sync(heap) == FILZ_EUNNAMED);
    if (draw(2))
        return 0;
    EXPECT(filz_mmap_reset(heap) == 0 && filz_mmap_root(heap) == NULL);
    EXPECT(look_at(heap, &seen) == 0 && seen.error == 0 && seen.chunks == 0);
    return allocate(heap) || look_at(heap, &seen);
}

static int use_reader(filz_mmap *heap)
{
    EXPECT(filz_mmap_alloc(heap, 8, 8) == NULL && errno == EROFS);
    EXPECT(filz_mmap_set_root(heap, NULL) == EROFS && filz_mmap_reset(heap) == EROFS);
    return filz_mmap_sync(heap) != EROFS;
}

/* Nothing stays where the heap was. */
static int close_wholly(filz_mmap *heap)
{
    void *start = (void *)heap->heap->backing.base;
    unsigned char state;
    EXPECT(filz_mmap_close(heap) == 0);
    EXPECT(fz_os_residency(start, 1, &state) == ENOMEM);
    return 0;
}

static int open_and_use(unsigned flag, struct seen *seen)
{
    filz_mmap heap = reader_of(HOSTILE);
    heap.flags = flag;
    int error = filz_mmap_open(&heap);
    EXPECT(FIRST_ERRNO + error >= 0 && FIRST_ERRNO + error < ERRORS && error != FILZ_EINUSE);
    progress->results[flag == FILZ_MMAP_PRIVATE][FIRST_ERRNO + error]++;
    if (error != 0)
        return 0;
    progress->opened++;
    EXPECT(look_at(&heap, seen) == 0);
    EXPECT((flag == FILZ_MMAP_PRIVATE ? use_private_copy(&heap) : use_reader(&heap)) == 0);
    return close_wholly(&heap);
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static int is_as_it_was(int fd, const struct file *file, const struct stat *before)
{
    static unsigned char now[64 * KIB];
    struct stat after;
    EXPECT(fstat(fd, &after) == 0 && after.st_size == before->st_size && after.st_mode == before->st_mode);
    EXPECT(is_same_time(after.st_mtim, before->st_mtim) && is_same_time(after.st_ctim, before->st_ctim));
    for (size_t at = 0, part; at < file->size; at += part) {
        part = file->size - at < sizeof(now) ? file->size - at : sizeof(now);
        EXPECT(pread(fd, now, part, (off_t)at) == (ssize_t)part && memcmp(now, file->bytes + at, part) == 0);
    }
    return 0;
}

/* In a shared heap, a reader takes a chunk that ends too late for one that its writer is just changing. */
static bool may_differ(const struct file *file)
{
    return header_in(file)->persistent == FZ_KEPT_AND_SHARED;
}

/* A reader and a private copy see the same heap. */
static bool agree(const struct seen *a, const struct seen *b)
{
    return !a->opened || !b->opened ||
           (a->error == b->error && a->in_chunks == b->in_chunks && a->chunks == b->chunks && a->blocks == b->blocks &&
            a->root == b->root);
}

static int try_file(int fd, const struct file *file)
{
    struct stat before;
    struct seen read = {.opened = false}, copied = {.opened = false};
    EXPECT(pwrite(fd, file->bytes, file->size, 0) == (ssize_t)file->size && ftruncate(fd, (off_t)file->size) == 0);
    EXPECT(fstat(fd, &before) == 0);
    EXPECT(open_and_use(FILZ_MMAP_READ_ONLY, &read) == 0 && open_and_use(FILZ_MMAP_PRIVATE, &copied) == 0);
    EXPECT(agree(&read, &copied) || may_differ(file));
    return is_as_it_was(fd, file, &before);
}

/* Each round draws from a state of its own, so that it can be tried alone. */
static const struct original *begin_round(uint64_t seed, size_t round)
{
    progress->round = round;
    random_state = seed ^ (uint64_t)round << 32;
    return &originals[draw(original_count)];
}

struct rounds {
    uint64_t seed;
    size_t first, end;
};

static int try_files(void *context)
{
    static _Alignas(struct fz_chunk) unsigned char bytes[ROOM];
    const struct rounds *rounds = context;
    int descriptors = open_descriptors();
    int fd = open(HOSTILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (size_t round = rounds->first; round < rounds->end; round++) {
        struct file file = begin_round(rounds->seed, round)->file;
        file.bytes = memcpy(bytes, file.bytes, file.size);
        change_at_random(&file);
        EXPECT(try_file(fd, &file) == 0);
    }
    EXPECT(close(fd) == 0 && open_descriptors() == descriptors);
    return 0;
}

static void print_results(const struct rounds *rounds)
{
    print_message("%zu files, opened %zu times\n%10s%10s\n", rounds->end - rounds->first, progress->opened, "to read",
                  "private");
    for (int i = 0; i < ERRORS; i++)
        if (progress->results[0][i] + progress->results[1][i] != 0)
            print_message("%10zu%10zu  %s\n", progress->results[0][i], progress->results[1][i],
                          i == FIRST_ERRNO ? "opened" : filz_error_text(i - FIRST_ERRNO));
}

static void a_hostile_file_is_refused_or_does_no_harm(void **state)
{
    (void)state;
    const char *only = getenv("FILZ_TEST_ROUND");
    struct rounds rounds = {from_environment("FILZ_TEST_SEED", 0xF117), 0, rounds_of(ROUNDS)};
    if (only != NULL)
        rounds.end = (rounds.first = strtoul(only, NULL, 0)) + 1;
    progress = share_with_children(sizeof(*progress));
    assert_non_null(progress);
    int status = in_child(try_files, &rounds);
    if (status != 0)
        print_message("FILZ_TEST_SEED=%#llx FILZ_TEST_ROUND=%zu, from a heap that is %s\n",
                      (unsigned long long)rounds.seed, progress->round,
                      begin_round(rounds.seed, progress->round)->name);
    else
        print_results(&rounds);
    munmap(progress, sizeof(*progress));
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_hostile_file_is_refused_or_does_no_harm, make_originals, free_originals),
    };
    return cmocka_run_group_tests_name("hostile_files", tests, NULL, NULL);
}
