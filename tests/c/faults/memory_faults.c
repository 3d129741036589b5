/* Calls that map memory, draw an address or make a thread's key fail: what they were for isn't done, and the heap goes
 * on as it was. */
#include "mappings.h"
#include "one_fault.h"
#include "persistent.h"
#include "threads.h"

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
static void a_thread_that_gets_no_page_wastes_no_chunk(void **state)
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

static void a_process_without_a_key_still_goes_on_in_the_same_chunks(void **state)
{
    (void)state;
    int status = in_child(run_without_a_key, NULL);
    if (status == SKIPPED)
        SKIP("a program can't start itself here");
    assert_int_equal(status, 0);
}

/* -- The reservation ----------------------------------------------------------------------------------------------- */

static filz_mmap heap;
static void *large_block;

static void allocate_much(void)
{
    large_block = filz_mmap_alloc(&heap, 8 * MIB, 1);
}

/* As under a limit of the address space: the reservation is given back, half by half, until there is none. */
static void a_heap_grows_again_once_memory_can_be_mapped(void **state)
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
        IN_FRESH_DIRECTORY(a_thread_that_gets_no_page_wastes_no_chunk),
        IN_FRESH_DIRECTORY(a_process_without_a_key_still_goes_on_in_the_same_chunks),
        IN_FRESH_DIRECTORY(a_heap_grows_again_once_memory_can_be_mapped),
        IN_FRESH_DIRECTORY(a_child_that_can_map_nothing_leaves_its_parents_heap_as_it_is),
        IN_FRESH_DIRECTORY(a_heap_whose_addresses_are_all_taken_is_refused_and_leaves_no_file),
    };
    return cmocka_run_group_tests_name("memory_faults", tests, NULL, NULL);
}
