/* Which calls to the system a persistent heap makes (faults_wrap.c): opening one makes the same, whatever its size, and
 * sync brings all of it to the disk. */
#include "faults.h"
#include "persistent.h"
#include "threads.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>

#define PATH "persistent.filz"

/* See <linux/magic.h>, which musl-gcc doesn't find. */
#define TMPFS_MAGIC 0x01021994

/* -- What a heap costs --------------------------------------------------------------------------------------------- */

struct cost {
    int calls;
    const struct faults_call *trace[FAULTS_TRACE_MAX];
    unsigned long long bytes_read;
    long page_faults;
    double milliseconds;
};

/* In all its life; 0 if the kernel doesn't count. */
static unsigned long long bytes_read(void)
{
    const char *line = strstr(text_of("/proc/self/io"), "rchar: ");
    return line != NULL ? strtoull(line + strlen("rchar: "), NULL, 10) : 0;
}

static long page_faults(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_minflt + usage.ru_majflt;
}

static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static struct cost cost_of(int (*call)(filz_mmap *), filz_mmap *heap)
{
    static struct cost cost;
    faults->owner = getpid();
    faults->calls[FAULTS_PARENT] = 0;
    unsigned long long bytes_of_looking = bytes_read();
    bytes_of_looking = bytes_read() - bytes_of_looking;
    cost.bytes_read = bytes_read();
    cost.page_faults = page_faults();
    cost.milliseconds = milliseconds();
    faults_on = true;
    int error = call(heap);
    faults_on = false;
    cost.milliseconds = milliseconds() - cost.milliseconds;
    cost.page_faults = page_faults() - cost.page_faults;
    cost.bytes_read = bytes_read() - cost.bytes_read - bytes_of_looking;
    assert_int_equal(error, 0);
    cost.calls = faults->calls[FAULTS_PARENT];
    memcpy(cost.trace, faults->trace[FAULTS_PARENT], sizeof(cost.trace));
    return cost;
}

static int error_with(struct fault fault, int (*call)(filz_mmap *), filz_mmap *heap)
{
    faults->owner = getpid();
    faults->calls[FAULTS_PARENT] = 0;
    faults->fault = fault;
    faults_on = true;
    int error = call(heap);
    faults_on = false;
    faults->fault = (struct fault){.call = NULL};
    return error;
}

static int calls_of(const struct cost *cost, const char *name)
{
    int calls = 0;
    for (int i = 0; i < cost->calls; i++)
        calls += strcmp(cost->trace[i]->name, name) == 0;
    return calls;
}

/* -- Opening ------------------------------------------------------------------------------------------------------- */

static void *allocate_a_byte(void *heap)
{
    return filz_mmap_alloc(heap, 1, 1);
}

/* Of so many bytes in large blocks, each with a chunk of its own, none of which is ever touched; closed. */
static void make_heap(const char *path, size_t bytes, size_t blocks)
{
    filz_mmap heap = persistent_at(path);
    heap.capacity = bytes + bytes / 2;
    assert_true(add_node(&heap, lists_of(&heap), 0, 100) > 0);
    assert_non_null(in_thread(allocate_a_byte, &heap));
    for (size_t i = 0; i < blocks; i++)
        assert_non_null(filz_mmap_alloc(&heap, bytes / blocks, 1));
    assert_int_equal(stats_of(&heap).chunks, blocks + 2);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* The least of many times: what else the process does in between may fault too, so may pages that the kernel has taken
 * away meanwhile, and /proc/self/io is longer when one of its numbers has come to have a digit more. */
static struct cost cost_of_opening(const char *path)
{
    static struct cost least;
    for (int i = 0; i < 50; i++) {
        filz_mmap heap = persistent_at(path);
        heap.capacity = 0;
        struct cost cost = cost_of(filz_mmap_open, &heap);
        unsigned long long least_read =
            i == 0 || cost.bytes_read < least.bytes_read ? cost.bytes_read : least.bytes_read;
        if (i == 0 || cost.page_faults < least.page_faults)
            least = cost;
        least.bytes_read = least_read;
        assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 0), 1);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
    return least;
}

static bool disk_has(size_t bytes)
{
    struct statvfs disk;
    return statvfs(".", &disk) == 0 && disk.f_bavail * (unsigned long long)disk.f_frsize > bytes + bytes / 2;
}

static size_t large_size(void)
{
    bool all = rounds_of(100) == 100 && sizeof(size_t) > 4;
    return (size_t)(all ? (unsigned long long)10 << 30 : 256 << 20);
}

static void opening_costs_the_same_whatever_the_size(void **state)
{
    (void)state;
    NEED_LINUX("way to find holes but reading");
    size_t size = large_size();
    if (!disk_has(size))
        SKIP("the disk has no room for %zu MiB", size / MIB);
    make_heap("small.filz", 32 * MIB, 3); /* a smaller one fits into memory: nobody asks how much there is */
    make_heap("large.filz", size, 50);
    static struct cost small, large;
    small = cost_of_opening("small.filz");
    large = cost_of_opening("large.filz");
    print_message("opening 32 MiB: %d calls, %llu bytes read, %ld page faults, %.2f ms\n", small.calls,
                  small.bytes_read, small.page_faults, small.milliseconds);
    print_message("opening %zu MiB: %d calls, %llu bytes read, %ld page faults, %.2f ms\n", size / MIB, large.calls,
                  large.bytes_read, large.page_faults, large.milliseconds);
    assert_int_equal(small.calls, large.calls);
    assert_memory_equal(small.trace, large.trace, (size_t)small.calls * sizeof(small.trace[0]));
    /* The kernel says how much memory there is in numbers of more digits or fewer; a chunk's header each would be more.
     * Valgrind reads by itself. */
    unsigned long long more = small.bytes_read < large.bytes_read ? large.bytes_read - small.bytes_read : 0;
    assert_true(runs_on_valgrind() || more < 50 * sizeof(struct fz_chunk) / 2);
    assert_true(SANITIZED_FOR_ADDRESSES || small.page_faults == large.page_faults); /* it poisons each chunk's tail */
}

static blkcnt_t blocks_on_disk(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_blocks : -1;
}

static void change(const char *path, int mode, size_t start, size_t size)
{
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fallocate(fd, mode, (off_t)start, (off_t)size), 0);
    assert_int_equal(close(fd), 0);
}

static void make_a_hole(const char *path)
{
    change(path, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB / 2, 64 * KIB);
}

static struct cost cost_of_opening_with(const char *path, size_t capacity)
{
    filz_mmap heap = persistent_at(path);
    heap.capacity = capacity;
    struct cost cost = cost_of(filz_mmap_open, &heap);
    assert_int_equal(filz_mmap_close(&heap), 0);
    return cost;
}

static bool is_a_usual_tmpfs(const char *path)
{
    struct statfs system;
    return access(path, W_OK) == 0 && statfs(path, &system) == 0 && system.f_type == TMPFS_MAGIC &&
           system.f_bavail * (unsigned long long)system.f_bsize > 8 * MIB;
}

/* There, fallocate takes as long as the file has pages. */
static void in_memory_only_a_file_with_holes_is_filled(void **state)
{
    (void)state;
    NEED_LINUX("way to find holes but reading");
    static struct cost whole, holed, again, too_large;
    if (!is_a_usual_tmpfs("/dev/shm"))
        SKIP("/dev/shm is no tmpfs with 8 MiB of room");
    char path[64];
    snprintf(path, sizeof(path), "/dev/shm/filz-test-%d.filz", (int)getpid());
    make_heap(path, MIB, 3);
    blkcnt_t blocks = blocks_on_disk(path);
    whole = cost_of_opening_with(path, 0);
    make_a_hole(path);
    blkcnt_t blocks_without = blocks_on_disk(path);
    holed = cost_of_opening_with(path, 0);
    blkcnt_t blocks_again = blocks_on_disk(path);
    again = cost_of_opening_with(path, 0);
    /* What lies after the capacity says nothing about what lies before. */
    make_a_hole(path);
    change(path, 0, 2 * MIB, 2 * MIB);
    too_large = cost_of_opening_with(path, 2 * MIB);
    assert_int_equal(remove(path), 0);

    if (blocks_without == blocks)
        SKIP("/dev/shm has pages of more than 64 KiB");
    assert_int_equal(calls_of(&whole, "fallocate"), 0);
    assert_true(calls_of(&holed, "fallocate") > 0);
    assert_int_equal(blocks_again, blocks);
    assert_int_equal(calls_of(&again, "fallocate"), 0);
    assert_true(calls_of(&too_large, "fallocate") > 0);
}

static int open_unfinished(struct fault fault)
{
    static const char zeros[64 * KIB];
    filz_mmap heap = persistent_at(PATH);
    write_file(PATH, "filzheap");
    write_at(PATH, strlen("filzheap"), zeros, sizeof(zeros));
    int error = error_with(fault, filz_mmap_open, &heap);
    assert_int_equal(filz_mmap_close(&heap), 0);
    return error;
}

/* Whether there is a heap in it isn't known then. */
static void an_unfinished_file_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(open_unfinished((struct fault){.call = NULL}), 0);
    int i = faults->calls[FAULTS_PARENT] - 1;
    while (i >= 0 && strcmp(faults->trace[FAULTS_PARENT][i]->name, "pread") != 0)
        i--;
    assert_true(i >= 0);
    struct fault fault = {.call = faults->trace[FAULTS_PARENT][i], .index = i, .error = EIO};
    assert_int_equal(remove(PATH), 0);
    assert_int_equal(open_unfinished(fault), EIO);
}

/* `fstatfs`, for example, only asks what it can do without. */
static void a_reader_that_a_call_fails_for_leaves_nothing_open(void **state)
{
    (void)state;
    static const unsigned flags[] = {FILZ_MMAP_READ_ONLY, FILZ_MMAP_PRIVATE};
    int failed = 0;
    make_heap(PATH, MIB, 3);
    for (size_t i = 0; i < COUNT(flags); i++) {
        filz_mmap heap = {.path = PATH, .flags = flags[i], .tag = TAG};
        static struct cost cost;
        cost = cost_of(filz_mmap_open, &heap);
        assert_int_equal(filz_mmap_close(&heap), 0);
        int descriptors = open_descriptors();
        struct snapshot before = snapshot_of(PATH);
        for (int call = 0; call < cost.calls; call++) {
            int error =
                error_with((struct fault){cost.trace[call], .index = call, .error = EIO}, filz_mmap_open, &heap);
            failed += error != 0;
            assert_true(error == 0 || error == EIO);
            assert_int_equal(filz_mmap_root(&heap) != NULL, error == 0);
            assert_int_equal(filz_mmap_close(&heap), 0);
            assert_int_equal(open_descriptors(), descriptors);
        }
        assert_as_it_was(PATH, before);
    }
    print_message("%d of the calls are needed\n", failed);
    assert_true(failed >= 8);
}

/* -- Sync ---------------------------------------------------------------------------------------------------------- */

/* There, fsync follows msync. */
enum { FSYNCS = ON_POSIX ? 2 : 0 };

/* The data, then the header with the checkpoint. The name of a new heap is on the disk already. */
static void sync_writes_the_heap_its_header_and_once_its_name(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    for (int run = 0; run < 2; run++) {
        assert_true(add_node(&heap, lists_of(&heap), 0, 10 * KIB) > 0);
        for (int i = 0; i < 3; i++) {
            struct cost cost = cost_of(filz_mmap_sync, &heap);
            bool name_too = run == 1 && i == 0;
            assert_int_equal(calls_of(&cost, "msync"), 2);
            assert_int_equal(calls_of(&cost, "fsync"), name_too + FSYNCS);
            assert_int_equal(calls_of(&cost, "open"), name_too);
            assert_int_equal(calls_of(&cost, "close"), name_too);
        }
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

static void only_a_heap_that_was_synced_is_synced_by_a_reset(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    for (int i = 0; i < 3; i++) {
        assert_true(add_node(&heap, lists_of(&heap), 0, 10 * KIB) > 0);
        struct cost cost = cost_of(filz_mmap_reset, &heap);
        assert_int_equal(calls_of(&cost, "msync"), i == 2);
        assert_int_equal(i == 1 ? filz_mmap_sync(&heap) : 0, 0); /* of an empty heap */
        assert_true(add_node(&heap, lists_of(&heap), 0, 10 * KIB) > 0);
        assert_int_equal(i == 1 ? filz_mmap_sync(&heap) : 0, 0);
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static struct fault failing(const char *name, int error)
{
    static filz_mmap heap;
    heap = persistent_at("failing.filz");
    for (int run = 0; run < 2; run++)
        assert_int_equal(filz_mmap_close(&heap) | filz_mmap_open(&heap), 0);
    struct cost cost = cost_of(filz_mmap_sync, &heap);
    assert_int_equal(filz_mmap_close(&heap), 0);
    int i = 0;
    while (i < cost.calls && strcmp(cost.trace[i]->name, name) != 0)
        i++;
    assert_true(i < cost.calls);
    return (struct fault){.call = cost.trace[i], .index = i, .error = error};
}

/* A disk that failed is tried again, the name too. */
static void sync_that_failed_says_so_and_is_tried_again(void **state)
{
    (void)state;
    static const char *const names[] = {"msync", "open", "fsync"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct fault fault = failing(names[i], EIO);
        filz_mmap heap = persistent_at(PATH);
        for (int run = 0; run < 2; run++)
            assert_int_equal(filz_mmap_close(&heap) | filz_mmap_open(&heap), 0);
        assert_int_equal(error_with(fault, filz_mmap_sync, &heap), EIO);
        struct cost cost = cost_of(filz_mmap_sync, &heap);
        assert_int_equal(calls_of(&cost, "msync") + calls_of(&cost, "fsync"), 3 + FSYNCS);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(opening_costs_the_same_whatever_the_size),
        IN_FRESH_DIRECTORY(in_memory_only_a_file_with_holes_is_filled),
        IN_FRESH_DIRECTORY(an_unfinished_file_that_cannot_be_read_is_an_error),
        IN_FRESH_DIRECTORY(a_reader_that_a_call_fails_for_leaves_nothing_open),
        IN_FRESH_DIRECTORY(sync_writes_the_heap_its_header_and_once_its_name),
        IN_FRESH_DIRECTORY(only_a_heap_that_was_synced_is_synced_by_a_reset),
        IN_FRESH_DIRECTORY(sync_that_failed_says_so_and_is_tried_again),
    };
    return cmocka_run_group_tests_name("persistent_calls", tests, NULL, NULL);
}
