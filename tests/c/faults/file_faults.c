/* One call that writes, extends or syncs a file fails: the file stays as it was, or is removed, and a second try works.
 */
#include "one_fault.h"
#include "persistent.h"

#include <sys/resource.h>

/* -- A reset ------------------------------------------------------------------------------------------------------- */

static filz_mmap heap;

static void sync_it(void)
{
    assert_int_equal(filz_mmap_sync(&heap), 0);
}

/* The checkpoint must be empty on the disk before a block is allocated again. */
static void a_reset_after_a_sync_that_the_disk_refuses_changes_nothing(void **state)
{
    (void)state;
    heap = persistent_at("heap.filz");
    struct lists *lists = lists_of(&heap);
    assert_non_null(lists);
    for (uint64_t i = 1; i <= 1000; i++)
        assert_int_equal(add_node(&heap, lists, 0, 100), i);
    const struct faults_call *msync = call_of("msync", sync_it);
    struct fz_header before = *heap.heap->header;
    filz_mmap_info stats = stats_of(&heap);
    fail_from(msync, 0, EIO);
    int error = filz_mmap_reset(&heap);
    faults_on = false;
    assert_int_equal(error, EIO);
    assert_int_equal(faults->injected, 1);
    before.tails = heap.heap->header->tails; /* says nothing before the end */
    assert_memory_equal(heap.heap->header, &before, sizeof(before));
    assert_int_equal(stats_of(&heap).used, stats.used);
    assert_int_equal(walk_list(&heap, lists, 0), 1000);
    assert_int_equal(add_node(&heap, lists, 0, 100), 1001);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_ptr_equal(lists_of(&heap), lists);
    assert_int_equal(walk_list(&heap, lists, 0), 1001);
    assert_int_equal(filz_mmap_reset(&heap), 0);
    assert_null(filz_mmap_root(&heap));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- A file -------------------------------------------------------------------------------------------------------- */

static void open_and_close(void)
{
    filz_mmap small = {.path = "small.filz", .capacity = MIB};
    assert_int_equal(filz_mmap_open(&small), 0);
    assert_int_equal(filz_mmap_close(&small), 0);
}

/* It was there, and no heap was ever in it. */
static void an_empty_file_that_no_heap_fits_into_stays_empty(void **state)
{
    (void)state;
    const struct faults_call *pwritev = call_of("pwritev", open_and_close);
    write_file("empty", "");
    assert_int_equal(chmod("empty", 0600), 0);
    filz_mmap refused = {.path = "empty", .capacity = MIB};
    fail_from(pwritev, 0, ENOSPC);
    int error = filz_mmap_open(&refused);
    faults_on = false;
    assert_int_equal(error, ENOSPC);
    assert_int_equal(status_of("empty").st_size, 0);
    assert_int_equal(filz_mmap_open(&refused), 0);
    assert_int_equal(filz_mmap_close(&refused), 0);
}

/* What was in it is gone, since it was to be overwritten. */
static void a_file_of_an_earlier_run_that_no_heap_fits_into_stays(void **state)
{
    (void)state;
    const struct faults_call *pwritev = call_of("pwritev", open_and_close);
    filz_mmap refused = {.path = "small.filz", .capacity = MIB};
    fail_from(pwritev, 0, ENOSPC);
    int error = filz_mmap_open(&refused);
    faults_on = false;
    assert_int_equal(error, ENOSPC);
    assert_int_equal(status_of("small.filz").st_size, FZ_MAGIC_SIZE);
    assert_int_equal(filz_mmap_open(&refused), 0);
    assert_int_equal(filz_mmap_close(&refused), 0);
}

static void use_found(void)
{
    filz_mmap found = {.capacity = MIB};
    assert_non_null(filz_mmap_alloc(&found, 200 * KIB, 1));
    assert_int_equal(filz_mmap_close(&found), 0);
}

/* There, the heap goes on in an unnamed file. The file that is there is truncated; the first call extends it. */
static void a_file_in_a_memory_directory_that_cannot_be_written_is_removed(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    use_found();
    assert_int_equal(entries_in("memory"), 1);
    fail_once(call_of("pwritev", use_found), ENOSPC);
    use_found();
    faults_on = false;
    assert_int_equal(faults->injected, 1);
    assert_int_equal(entries_in("memory"), 0);
}

/* Zeros are written only because that is quicker. */
static void a_small_file_that_cannot_be_cleared_by_zeros_is_truncated(void **state)
{
    (void)state;
    open_and_close();
    fail_once(call_of("pwritev", open_and_close), EIO); /* clears it */
    open_and_close();
    faults_on = false;
    assert_int_equal(faults->injected, 1);
}

static bool make_hole(const char *path, size_t start, size_t length)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool made = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start, (off_t)length) == 0;
    close(fd);
    return made;
}

static int open_under_file_size_limit(void *persistent)
{
    EXPECT(setrlimit(RLIMIT_FSIZE, &(struct rlimit){MIB, MIB}) == 0);
    faults_on = true;
    EXPECT(filz_mmap_open(persistent) == EFBIG);
    return 0;
}

/* Without fallocate(2), zeros are written where the file says that it has holes, so that no store finds a full disk. */
static void the_holes_of_a_file_are_filled_where_there_is_no_fallocate(void **state)
{
    (void)state;
    filz_mmap persistent = persistent_at("holes.filz");
    char *block = filz_mmap_alloc(&persistent, 2 * MIB, 1);
    assert_non_null(block);
    memset(block, 'b', 100);
    memset(block + 2 * MIB - 100, 'e', 100);
    assert_int_equal(filz_mmap_set_root(&persistent, block), 0);
    assert_int_equal(filz_mmap_close(&persistent), 0);
    struct snapshot whole = snapshot_of("holes.filz");
    if (!make_hole("holes.filz", MIB / 2, MIB))
        SKIP("the file system has no holes");
    assert_int_equal(truncate("holes.filz", (off_t)(whole.status.st_size + (off_t)MIB)), 0); /* another, at its end */
    assert_true((size_t)status_of("holes.filz").st_blocks * 512 < (size_t)whole.status.st_size);
    const struct faults_call *pwritev = call_of("pwritev", open_and_close);
    for (int refused = 1; refused >= 0; refused--) {
        faults->lacks.fallocate = EOPNOTSUPP;
        fail_from(refused ? pwritev : NULL, 0, ENOSPC);
        int error = filz_mmap_open(&persistent);
        faults_on = false;
        assert_int_equal(error, refused ? ENOSPC : 0);
        if (refused)
            assert_int_equal(in_child(open_under_file_size_limit, &persistent), 0);
    }
    faults->lacks.fallocate = 0;
    assert_true((size_t)status_of("holes.filz").st_blocks * 512 >= (size_t)status_of("holes.filz").st_size);
    assert_ptr_equal(filz_mmap_root(&persistent), block);
    assert_true(is_filled(block, 'b', 100) && is_filled(block + 2 * MIB - 100, 'e', 100));
    assert_true(is_filled(block + MIB / 2, 0, MIB - 4096));
    assert_int_equal(filz_mmap_close(&persistent), 0);
    free(whole.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_reset_after_a_sync_that_the_disk_refuses_changes_nothing),
        IN_FRESH_DIRECTORY(an_empty_file_that_no_heap_fits_into_stays_empty),
        IN_FRESH_DIRECTORY(a_file_of_an_earlier_run_that_no_heap_fits_into_stays),
        IN_FRESH_DIRECTORY(a_file_in_a_memory_directory_that_cannot_be_written_is_removed),
        IN_FRESH_DIRECTORY(a_small_file_that_cannot_be_cleared_by_zeros_is_truncated),
        IN_FRESH_DIRECTORY(the_holes_of_a_file_are_filled_where_there_is_no_fallocate),
    };
    return cmocka_run_group_tests_name("file_faults", tests, NULL, NULL);
}
