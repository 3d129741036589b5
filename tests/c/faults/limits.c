/* Limits of the process (setrlimit(2)), at, below and above each step at which they matter, and a full disk: what a
 * heap can't have is NULL or a clear error, never a signal, and what it has stays good. */
#include "mounts.h"
#include "support.h"

#include <sys/resource.h>

#define GIB ((rlim_t)1 << 30)
#define BLOCK (10 * KIB)
#define BLOCKS_MAX 2000

static unsigned char *blocks[BLOCKS_MAX];
static size_t block_count;

static void fill_up(filz_mmap *heap)
{
    while (block_count < BLOCKS_MAX && (blocks[block_count] = filz_mmap_alloc(heap, BLOCK, 16)) != NULL) {
        memset(blocks[block_count], (int)block_count % 251, BLOCK);
        block_count++;
    }
}

/* Every block is as it was, and can be written again. */
static int blocks_are_good(void)
{
    for (size_t i = 0; i < block_count; i++) {
        EXPECT(is_filled(blocks[i], (int)i % 251, BLOCK));
        memset(blocks[i], (int)i % 251, BLOCK);
    }
    return 0;
}

/* Without the line on standard error. */
static int enter_quietly(void **state)
{
    return enter_fresh_directory(state) || setenv("FILZ_QUIET", "1", 1);
}

#define SET_LIMIT(resource, value)                                                                                     \
    do {                                                                                                               \
        struct rlimit limit;                                                                                           \
        EXPECT(getrlimit(resource, &limit) == 0);                                                                      \
        limit.rlim_cur = (value);                                                                                      \
        EXPECT(setrlimit(resource, &limit) == 0);                                                                      \
    } while (0)

#define LIFT_LIMIT(resource) SET_LIMIT(resource, limit.rlim_max)

/* The child of a process at its limit has its own blocks, and its parent keeps its own. */
static int child_is_good(void)
{
    pid_t child = fork();
    if (child == 0) {
        int status = blocks_are_good();
        for (size_t i = 0; i < block_count; i++)
            memset(blocks[i], 255, BLOCK);
        _exit(status);
    }
    EXPECT(end_child(child) == 0);
    return blocks_are_good();
}

struct trial {
    const char *path;
    size_t capacity;
    rlim_t limit;
};

/* -- The size of a file -------------------------------------------------------------------------------------------- */

static int fill_under_file_size_limit(void *context)
{
    const struct trial *trial = context;
    filz_mmap heap = {.path = trial->path, .capacity = trial->capacity};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    SET_LIMIT(RLIMIT_FSIZE, trial->limit);
    int error = filz_mmap_open(&heap);
    EXPECT(error == (trial->limit < page ? EFBIG : 0));
    fill_up(&heap);
    EXPECT(errno == (error != 0 ? EFBIG : ENOMEM));
    filz_mmap_info info;
    EXPECT(error != 0 || (filz_mmap_stats(&heap, &info) == 0 && info.committed <= trial->limit));
    EXPECT(error != 0 || info.committed + BLOCK + 2 * page > trial->limit);
    if (block_count > 0)
        EXPECT(filz_mmap_realloc(&heap, blocks[block_count - 1], BLOCK, 16, 8 * MIB) == NULL && errno == ENOMEM);
    EXPECT(blocks_are_good() == 0);
    EXPECT(child_is_good() == 0);
    LIFT_LIMIT(RLIMIT_FSIZE);
    EXPECT(filz_mmap_alloc_zeroed(&heap, MIB, 1) != NULL);
    EXPECT(blocks_are_good() == 0);
    return filz_mmap_close(&heap);
}

static void a_file_size_limit_gives_NULL_or_EFBIG(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_DFL);
    size_t steps[16] = {0, (size_t)sysconf(_SC_PAGESIZE)}, count = 2;
    filz_mmap heap = {.capacity = 16 * MIB};
    filz_mmap_info info;
    do {
        assert_non_null(filz_mmap_alloc(&heap, BLOCK, 16));
        assert_int_equal(filz_mmap_stats(&heap, &info), 0);
        if (info.committed != steps[count - 1])
            steps[count++] = info.committed;
    } while (count < 12);
    assert_int_equal(filz_mmap_close(&heap), 0);
    int trials = 0;
    for (size_t i = 0; i < count; i++) {
        for (int distance = i == 0 ? 0 : -1; distance <= 1; distance++) {
            struct trial trial = {i % 2 ? "a.filz" : NULL, 32 * MIB, (rlim_t)steps[i] + (rlim_t)distance};
            assert_int_equal(in_child(fill_under_file_size_limit, &trial), 0);
            trials++;
        }
    }
    print_message("%d file-size limits, at, below and above %zu steps\n", trials, count);
}

static int begin_anew_under_file_size_limit(void *context)
{
    const struct trial *trial = context;
    rlim_t page = (rlim_t)sysconf(_SC_PAGESIZE);
    SET_LIMIT(RLIMIT_FSIZE, trial->limit);
    filz_mmap heap = {.path = trial->path};
    int error = filz_mmap_open(&heap);
    EXPECT(error == (trial->limit < page ? EFBIG : 0));
    EXPECT(error != 0 || (filz_mmap_alloc(&heap, 100, 1) != NULL) == (trial->limit >= 2 * page));
    return 0;
}

/* The file of the run before is longer than this run's may be. */
static void a_file_past_the_limit_is_begun_anew(void **state)
{
    (void)state;
    rlim_t limits[] = {100, 4 * KIB, 8 * KIB, 20000, 64 * KIB - 1, 64 * KIB};
    for (size_t i = 0; i < COUNT(limits); i++) {
        filz_mmap heap = {.path = "a.filz"};
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_int_equal(filz_mmap_close(&heap), 0);
        struct trial trial = {.path = "a.filz", .limit = limits[i]};
        assert_int_equal(in_child(begin_anew_under_file_size_limit, &trial), 0);
    }
}

static int begin_persistent_under_file_size_limit(void *context)
{
    const struct trial *trial = context;
    filz_mmap heap = {.path = trial->path, .capacity = MIB, .flags = FILZ_MMAP_PERSISTENT};
    bool fits = trial->limit >= (rlim_t)sysconf(_SC_PAGESIZE);
    SET_LIMIT(RLIMIT_FSIZE, trial->limit);
    EXPECT(filz_mmap_open(&heap) == (fits ? 0 : EFBIG));
    EXPECT(exists(trial->path) == fits);
    LIFT_LIMIT(RLIMIT_FSIZE);
    EXPECT(filz_mmap_alloc(&heap, 100, 1) != NULL);
    EXPECT(filz_mmap_close(&heap) == 0);
    return unlink(trial->path);
}

static void a_persistent_heap_that_may_not_have_a_page_leaves_no_file(void **state)
{
    (void)state;
    rlim_t page = (rlim_t)sysconf(_SC_PAGESIZE), limits[] = {0, 7, 8, 9, 100, page - 1, page, page + 1};
    for (size_t i = 0; i < COUNT(limits); i++) {
        struct trial trial = {.path = "persistent.filz", .limit = limits[i]};
        assert_int_equal(in_child(begin_persistent_under_file_size_limit, &trial), 0);
    }
}

static int fail_under_file_size_limit(void *flags)
{
    SET_LIMIT(RLIMIT_FSIZE, 1000);
    filz_mmap heap = {.path = "a.filz", .flags = *(unsigned *)flags};
    EXPECT(filz_mmap_open(&heap) == EFBIG);
    return 0;
}

static void a_file_that_cannot_be_begun_under_the_limit_stays(void **state)
{
    (void)state;
    unsigned flags[] = {0, FILZ_MMAP_PERSISTENT};
    filz_mmap heap = {.path = "a.filz"};
    char *block = filz_mmap_alloc(&heap, 6, 1);
    assert_non_null(block);
    off_t offset = sysconf(_SC_PAGESIZE) + 64; /* after the header of the file, and of the chunk */
    memcpy(block, "whole", 6);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(in_child(fail_under_file_size_limit, &flags[0]), 0);
    int fd = open("a.filz", O_RDONLY);
    char bytes[6];
    assert_int_equal(pread(fd, bytes, 6, offset), 6);
    assert_string_equal(bytes, "whole");
    close(fd);
    for (size_t i = 0; i < COUNT(flags); i++) {
        assert_int_equal(truncate("a.filz", 0), 0);
        assert_int_equal(in_child(fail_under_file_size_limit, &flags[i]), 0);
        assert_true(exists("a.filz"));
    }
}

/* -- Address space ------------------------------------------------------------------------------------------------- */

static size_t mapped_bytes(void)
{
    return strtoul(text_of("/proc/self/statm"), NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static int open_under_address_space_limit(void *context)
{
    const struct trial *trial = context;
    filz_mmap heap = {.path = trial->path, .capacity = trial->capacity};
    (void)mapped_bytes(); /* stdio's buffer */
    rlim_t most = mapped_bytes() + trial->limit;
    SET_LIMIT(RLIMIT_AS, most);
    int error = filz_mmap_open(&heap);
    bool fits = trial->capacity != 0 && trial->limit >= trial->capacity + 2 * MIB;
    EXPECT(error == 0 || (error == ENOMEM && !fits));
    EXPECT(error == 0 || !exists("a.filz"));
    filz_mmap_info info;
    bool chosen = filz_mmap_stats(&heap, &info) == 0 && trial->capacity == 0;
    EXPECT(!chosen || info.capacity <= most / 2 + info.page_size || info.capacity == MIB);
    fill_up(&heap);
    EXPECT(errno == ENOMEM || block_count == BLOCKS_MAX);
    EXPECT((block_count > 0) == (error == 0));
    EXPECT(blocks_are_good() == 0);
    EXPECT(child_is_good() == 0);
    LIFT_LIMIT(RLIMIT_AS);
    EXPECT(filz_mmap_open(&heap) == 0);
    EXPECT(filz_mmap_close(&heap) == 0);
    return trial->path ? unlink(trial->path) : 0;
}

static int open_under_high_address_space_limit(void *context)
{
    (void)context;
    SET_LIMIT(RLIMIT_AS, RLIM_INFINITY / 4 * 3);
    filz_mmap heap = {.path = "a.filz"};
    filz_mmap_info info;
    EXPECT(filz_mmap_open(&heap) == 0 && filz_mmap_stats(&heap, &info) == 0);
    EXPECT(info.capacity == (sizeof(size_t) > 4 ? 64 * GIB : 512 * MIB));
    EXPECT(filz_mmap_close(&heap) == 0);
    return 0;
}

static void a_limit_of_more_than_twice_the_default_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(in_child(open_under_high_address_space_limit, NULL), 0);
}

static void an_address_space_limit_gives_ENOMEM_or_a_smaller_heap(void **state)
{
    (void)state;
    if (SANITIZED)
        SKIP("the sanitizers need terabytes of address space");
    struct rlimit limit = {GIB, RLIM_INFINITY}, now;
    if (getrlimit(RLIMIT_AS, &now) != 0 || now.rlim_cur != RLIM_INFINITY || setrlimit(RLIMIT_AS, &limit) != 0 ||
        getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != GIB || setrlimit(RLIMIT_AS, &now) != 0)
        SKIP("no address-space limit can be set here");
    /* The reservation is the capacity and 2 MiB; the default goes down to 1 MiB. */
    static const size_t steps[] = {0, MIB, 2 * MIB, 3 * MIB, 4 * MIB, 6 * MIB, 10 * MIB, 34 * MIB, 66 * MIB, 130 * MIB};
    long page = sysconf(_SC_PAGESIZE);
    int trials = 0;
    for (size_t i = 0; i < COUNT(steps); i++) {
        for (long distance = i == 0 ? 0 : -page; distance <= page; distance += page) {
            struct trial asked = {"a.filz", 8 * MIB, (rlim_t)((long)steps[i] + distance)};
            struct trial by_default = {.limit = asked.limit};
            assert_int_equal(in_child(open_under_address_space_limit, &asked), 0);
            assert_int_equal(in_child(open_under_address_space_limit, &by_default), 0);
            trials += 2;
        }
    }
    print_message("%d address-space limits, at, below and above %zu steps\n", trials, COUNT(steps));
}

/* -- Descriptors --------------------------------------------------------------------------------------------------- */

static rlim_t lowest_free_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return (rlim_t)fd;
}

static int open_under_descriptor_limit(void *context)
{
    const struct trial *trial = context;
    filz_mmap heap = {.path = trial->path, .capacity = trial->capacity};
    SET_LIMIT(RLIMIT_NOFILE, trial->limit);
    bool fits = trial->limit > lowest_free_descriptor();
    EXPECT(filz_mmap_open(&heap) == (fits ? 0 : EMFILE));
    fill_up(&heap);
    EXPECT(errno == (fits ? ENOMEM : EMFILE));
    EXPECT((block_count > 0) == fits);
    EXPECT(blocks_are_good() == 0);
    EXPECT(child_is_good() == 0);
    LIFT_LIMIT(RLIMIT_NOFILE);
    EXPECT(filz_mmap_open(&heap) == 0);
    return filz_mmap_close(&heap);
}

/* The limit comes when the heap is open, whose descriptor may be above it. */
static int grow_under_descriptor_limit(void *context)
{
    const struct trial *trial = context;
    filz_mmap heap = {.path = trial->path, .capacity = trial->capacity};
    EXPECT(filz_mmap_open(&heap) == 0);
    SET_LIMIT(RLIMIT_NOFILE, trial->limit);
    fill_up(&heap);
    EXPECT(errno == ENOMEM && block_count * BLOCK > trial->capacity - MIB);
    EXPECT(blocks_are_good() == 0);
    EXPECT(child_is_good() == 0);
    LIFT_LIMIT(RLIMIT_NOFILE); /* LeakSanitizer needs descriptors at exit */
    return filz_mmap_close(&heap);
}

static void a_descriptor_limit_gives_EMFILE_and_does_not_touch_an_open_heap(void **state)
{
    (void)state;
    rlim_t free_one = lowest_free_descriptor();
    int trials = 0;
    for (rlim_t limit = 0; limit <= free_one + 5; limit++) {
        for (int named = 0; named < 2; named++) {
            struct trial trial = {named ? "a.filz" : NULL, 4 * MIB, limit};
            assert_int_equal(in_child(open_under_descriptor_limit, &trial), 0);
            assert_int_equal(in_child(grow_under_descriptor_limit, &trial), 0);
            trials += 2;
        }
    }
    assert_true(trials >= 10);
    print_message("%d descriptor limits, from 0 to 5 free ones\n", trials);
}

/* -- A full disk --------------------------------------------------------------------------------------------------- */

/* A disk of 3 MiB, at `disk`, that no other process sees. */
static bool mount_small_disk(void)
{
    return leave_mount_namespace() && mkdir("disk", 0700) == 0 &&
           mount("filz-test", "disk", "tmpfs", 0, "size=3m") == 0;
}

/* The child of a fork finds no room for a copy either. */
static int fill_a_small_disk(void *path)
{
    if (!mount_small_disk())
        return SKIPPED;
    setenv("TMPDIR", "disk", 1);
    filz_mmap heap = {.path = path, .capacity = 64 * MIB};
    fill_up(&heap);
    EXPECT(errno == ENOMEM);
    EXPECT(block_count * BLOCK > 2 * MIB && block_count * BLOCK < 3 * MIB);
    EXPECT(blocks_are_good() == 0);
    EXPECT(child_is_good() == 0);
    size_t before = block_count;
    EXPECT(filz_mmap_reset(&heap) == 0);
    block_count = 0;
    fill_up(&heap);
    EXPECT(block_count == before && blocks_are_good() == 0);
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(path == NULL || unlink(path) == 0);
    return 0;
}

static void a_full_disk_gives_NULL_and_no_signal(void **state)
{
    (void)state;
    int status = in_child(fill_a_small_disk, NULL);
    if (status == SKIPPED)
        SKIP("mounting a small disk needs root and a mount namespace");
    assert_int_equal(status, 0);
    assert_int_equal(rmdir("disk"), 0);
    assert_int_equal(in_child(fill_a_small_disk, "disk/a.filz"), 0);
}

#define QUIETLY(test) cmocka_unit_test_setup_teardown(test, enter_quietly, leave_fresh_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUIETLY(a_file_size_limit_gives_NULL_or_EFBIG),
        QUIETLY(a_file_past_the_limit_is_begun_anew),
        QUIETLY(a_file_that_cannot_be_begun_under_the_limit_stays),
        QUIETLY(a_persistent_heap_that_may_not_have_a_page_leaves_no_file),
        QUIETLY(a_limit_of_more_than_twice_the_default_changes_nothing),
        QUIETLY(an_address_space_limit_gives_ENOMEM_or_a_smaller_heap),
        QUIETLY(a_descriptor_limit_gives_EMFILE_and_does_not_touch_an_open_heap),
        QUIETLY(a_full_disk_gives_NULL_and_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
