/* One call to the system fails, at a place that the scenarios of faults.c don't lead to. What it was for isn't done,
 * all else is as it was, and goes on. */
#include "mappings.h"
#include "persistent.h"
#include "threads.h"

#include "faults.h"

#include <sys/resource.h>

/* -- Which call fails ---------------------------------------------------------------------------------------------- */

/* `body` is run once, so that the calls which it makes are known by name. */
static const struct faults_call *call_of(const char *name, void (*body)(void))
{
    faults->owner = getpid();
    faults->fault = (struct fault){.call = NULL};
    faults->calls[FAULTS_PARENT] = 0;
    faults_on = true;
    body();
    faults_on = false;
    for (int i = 0; i < faults->calls[FAULTS_PARENT] && i < FAULTS_TRACE_MAX; i++)
        if (strcmp(faults->trace[FAULTS_PARENT][i]->name, name) == 0)
            return faults->trace[FAULTS_PARENT][i];
    fail_msg("%s isn't called", name);
    return NULL;
}

/* From the next call on, or the one after so many others, each call of this kind fails, until faults_on is false. */
static void fail_from(const struct faults_call *call, int index, int error)
{
    faults->fault = (struct fault){.call = call, .index = index, .error = error, .lasting = true};
    faults->calls[FAULTS_PARENT] = faults->injected = 0;
    faults_on = true;
}

/* Of the calls that were made last, only the first of this kind fails. */
static void fail_once(const struct faults_call *call, int error)
{
    int index = 0, all = faults->calls[FAULTS_PARENT];
    while (index < all && faults->trace[FAULTS_PARENT][index] != call)
        index++;
    assert_true(index < all);
    fail_from(call, index, error);
    faults->fault.lasting = false;
}

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

/* -- A thread's page ----------------------------------------------------------------------------------------------- */

static filz_mmap heaps[3];
static char *first_blocks[COUNT(heaps)];

static void *use_each_heap(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT(heaps); i++)
        if ((first_blocks[i] = filz_mmap_alloc(&heaps[i], 100, 1)) != NULL)
            memset(first_blocks[i], 'x', 100);
    return NULL;
}

static void use_each_heap_in_a_thread(void)
{
    in_thread(use_each_heap, NULL);
}

/* With room in the file for a chunk, which an open leaves only if pages are small. */
static void open_heaps(void)
{
    for (size_t i = 0; i < COUNT(heaps); i++) {
        heaps[i] = (filz_mmap){.capacity = MIB};
        assert_non_null(filz_mmap_alloc(&heaps[i], 100, 1));
        assert_int_equal(filz_mmap_reset(&heaps[i]), 0);
    }
}

static void close_heaps(void)
{
    for (size_t i = 0; i < COUNT(heaps); i++)
        assert_int_equal(filz_mmap_close(&heaps[i]), 0);
}

/* The calls are one for the key, when the thread uses its first heap, and then, for each other heap: an address for the
 * page, its memory, and the key's value. Each of them fails. */
static void a_thread_that_gets_no_page_leaves_the_chunk_of_each_heap_before(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int index, error;
    } calls[] = {{"mmap", 0, ENOMEM}, {"mmap", 2, ENOMEM}, {"pthread_setspecific", 1, ENOMEM}};
    for (size_t i = 0; i < COUNT(calls); i++) {
        open_heaps();
        const struct faults_call *call = call_of(calls[i].name, use_each_heap_in_a_thread);
        close_heaps();
        open_heaps();
        mappings_now(); /* what the C library takes for this, it has taken after the first time */
        unsigned long long before = mappings_now().bytes;
        fail_from(call, calls[i].index, calls[i].error);
        use_each_heap_in_a_thread();
        faults_on = false;
        assert_true(faults->injected >= (int)COUNT(heaps) - 1);
        assert_true(SANITIZED || mappings_now().bytes <= before);
        char *blocks[COUNT(heaps)];
        memcpy(blocks, first_blocks, sizeof(blocks));
        use_each_heap_in_a_thread(); /* in the tails of the same chunks */
        for (size_t j = 0; j < COUNT(heaps); j++) {
            assert_ptr_equal(first_blocks[j], blocks[j] + 100);
            assert_int_equal(stats_of(&heaps[j]).chunks, 1);
        }
        close_heaps();
    }
}

/* The same without a key for the threads' values, which a process may have none of any more when it loads filz. */
static int use_heaps_without_a_key(void)
{
    char *blocks[COUNT(heaps)];
    open_heaps();
    use_each_heap(NULL);
    memcpy(blocks, first_blocks, sizeof(blocks));
    use_each_heap(NULL);
    for (size_t i = 0; i < COUNT(heaps); i++)
        EXPECT(first_blocks[i] == blocks[i] + 100);
    use_each_heap_in_a_thread(); /* has no chunk of the last heap, where the other thread is active */
    for (size_t i = 0; i < COUNT(heaps); i++)
        EXPECT(first_blocks[i] != NULL && (first_blocks[i] == blocks[i] + 200) == (i < COUNT(heaps) - 1));
    close_heaps();
    return 0;
}

static int run_without_a_key(void *unused)
{
    (void)unused;
    setenv("FAULTS_AT_LOAD", "pthread_key_create", 1);
    return start_this_program("without a key");
}

static void a_process_without_a_key_does_so_too(void **state)
{
    (void)state;
    int status = in_child(run_without_a_key, NULL);
    if (status == SKIPPED)
        SKIP("a program can't start itself here");
    assert_int_equal(status, 0);
}

/* -- The reservation ----------------------------------------------------------------------------------------------- */

static void *large_block;

static void allocate_much(void)
{
    large_block = filz_mmap_alloc(&heap, 8 * MIB, 1);
}

/* As under a limit of the address space: the reservation is given back, half by half, until there is none. */
static void a_heap_that_nothing_can_be_mapped_for_goes_on_when_it_can(void **state)
{
    (void)state;
    heap = (filz_mmap){.path = "heap.filz", .capacity = 64 * MIB};
    const struct faults_call *mmap = call_of("mmap", allocate_much);
    assert_int_equal(filz_mmap_close(&heap), 0);
    char *block = filz_mmap_alloc(&heap, 1000, 1);
    assert_non_null(block);
    memset(block, 'b', 1000);
    fail_from(mmap, 0, ENOMEM);
    allocate_much();
    int error = errno;
    faults_on = false;
    assert_null(large_block);
    assert_int_equal(error, ENOMEM);
    assert_true(is_filled(block, 'b', 1000));
    assert_int_equal(stats_of(&heap).blocks, 1);
    allocate_much();
    assert_non_null(large_block);
    memset(large_block, 'l', 8 * MIB);
    assert_true(is_filled(block, 'b', 1000));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- A child ------------------------------------------------------------------------------------------------------- */

static int has_no_heap(void *unused)
{
    (void)unused;
    return filz_mmap_alloc(&heap, 100, 1) == NULL ? 0 : 1;
}

/* It has neither a copy nor a private mapping, and the memory is its parent's still. */
static void a_child_that_can_map_nothing_leaves_its_parents_heap_as_it_is(void **state)
{
    (void)state;
    heap = (filz_mmap){.path = "heap.filz", .capacity = 64 * MIB};
    const struct faults_call *mmap = call_of("mmap", allocate_much);
    filz_mmap_info before = stats_of(&heap);
    char *block = filz_mmap_alloc(&heap, 100, 1);
    assert_non_null(block);
    fail_from(mmap, 0, ENOMEM);
    faults->fault.role = FAULTS_CHILD;
    pid_t child = begin_child(has_no_heap, NULL);
    faults_on = false;
    assert_int_equal(end_child(child), 0);
    assert_int_equal(stats_of(&heap).in_chunks, before.in_chunks);
    assert_ptr_equal(filz_mmap_alloc(&heap, 100, 1), block + 100);
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
static void a_file_of_an_earlier_run_stays_and_holds_no_heap(void **state)
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
static void in_a_memory_directory_it_is_removed(void **state)
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

/* -- An address that is random, and always the same one ------------------------------------------------------------ */

static void open_a_persistent_heap(void)
{
    filz_mmap persistent = persistent_at("first.filz");
    assert_int_equal(filz_mmap_open(&persistent), 0);
    assert_int_equal(filz_mmap_close(&persistent), 0);
}

static void a_heap_whose_addresses_are_all_taken_is_refused_and_leaves_no_file(void **state)
{
    (void)state;
    enum { MOST = 4 };
    static const char *const paths[MOST] = {"a.filz", "b.filz", "c.filz", "d.filz"};
    filz_mmap persistent[MOST];
    const struct faults_call *getentropy = call_of("getentropy", open_a_persistent_heap);
    size_t count = 0;
    int error = 0;
    fail_from(getentropy, 0, ENOSYS);
    while (count < MOST && error == 0) {
        persistent[count] = persistent_at(paths[count]);
        error = filz_mmap_open(&persistent[count]);
        count += error == 0;
    }
    faults_on = false;
    assert_in_range(count, 1, MOST - 1);
    assert_int_equal(error, ENOMEM);
    assert_false(exists(paths[count]));
    assert_int_equal(filz_mmap_open(&persistent[count]), 0); /* elsewhere */
    for (size_t i = 0; i <= count; i++)
        assert_int_equal(filz_mmap_close(&persistent[i]), 0);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return use_heaps_without_a_key();
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_reset_after_a_sync_that_the_disk_refuses_changes_nothing),
        IN_FRESH_DIRECTORY(a_thread_that_gets_no_page_leaves_the_chunk_of_each_heap_before),
        IN_FRESH_DIRECTORY(a_process_without_a_key_does_so_too),
        IN_FRESH_DIRECTORY(a_heap_that_nothing_can_be_mapped_for_goes_on_when_it_can),
        IN_FRESH_DIRECTORY(a_child_that_can_map_nothing_leaves_its_parents_heap_as_it_is),
        IN_FRESH_DIRECTORY(an_empty_file_that_no_heap_fits_into_stays_empty),
        IN_FRESH_DIRECTORY(a_file_of_an_earlier_run_stays_and_holds_no_heap),
        IN_FRESH_DIRECTORY(in_a_memory_directory_it_is_removed),
        IN_FRESH_DIRECTORY(a_small_file_that_cannot_be_cleared_by_zeros_is_truncated),
        IN_FRESH_DIRECTORY(the_holes_of_a_file_are_filled_where_there_is_no_fallocate),
        IN_FRESH_DIRECTORY(a_heap_whose_addresses_are_all_taken_is_refused_and_leaves_no_file),
    };
    return cmocka_run_group_tests_name("one_fault", tests, NULL, NULL);
}
