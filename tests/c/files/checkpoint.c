/* What filz_mmap_sync leaves in the file: a checkpoint, at which the heap opens when the pages written since are
 * missing. A power cut is played here by hand; tests/power has simulated disks. */
#include "persistent.h"
#include "threads.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#define PATH "heap.filz"
#define COPY "copy.filz"

enum { NODES = 1000, NODE_SIZE = 100 };

static void add_nodes(filz_mmap *heap, int list, size_t count, size_t size)
{
    struct lists *lists = lists_of(heap);
    assert_non_null(lists);
    for (size_t i = 0; i < count; i++)
        assert_true(add_node(heap, lists, list, size) > 0);
}

/* A heap with 1,000 nodes on the disk, and chunks of other, large nodes after them. It is still open. */
static filz_mmap make_synced(size_t later)
{
    filz_mmap heap = persistent_at(PATH);
    heap.capacity = 64 * MIB;
    add_nodes(&heap, 0, NODES, NODE_SIZE);
    assert_int_equal(filz_mmap_sync(&heap), 0);
    assert_int_equal(add_node(&heap, filz_mmap_root(&heap), 1, NODE_SIZE), 1);
    in_thread(allocate_100_bytes, &(struct heap){.mmap = heap}); /* so that large blocks get dedicated chunks */
    add_nodes(&heap, 2, later, 300 * KIB);
    return heap;
}

static void copy_file(const char *from, const char *to)
{
    struct snapshot snapshot = snapshot_of(from);
    write_file(to, "");
    write_at(to, 0, snapshot.bytes, (size_t)snapshot.status.st_size);
    assert_int_equal(chmod(to, 0600), 0);
    free(snapshot.bytes);
}

/* Opens it, finds so many nodes, takes new blocks, and finds the nodes again, also in the next run. */
static void assert_goes_on_with(const char *path, int64_t nodes)
{
    filz_mmap heap = persistent_at(path);
    heap.capacity = 64 * MIB;
    for (int run = 0; run < 2; run++) {
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_true(stats_of(&heap).blocks >= (size_t)nodes);
        const struct lists *lists = filz_mmap_root(&heap);
        assert_true(nodes == 0 ? lists == NULL : walk_list(&heap, lists, 0) == nodes);
        for (size_t i = 0; i < 100; i++)
            memset(filz_mmap_alloc(&heap, 5 * KIB, 1), 0xEE, 5 * KIB);
        assert_true(nodes == 0 || walk_list(&heap, lists, 0) == nodes);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

/* The whole kind: of the pages since the sync, only the header came to the disk. */
static void a_newer_header_over_the_synced_file_opens_at_the_checkpoint(void **state)
{
    (void)state;
    char header[4096];
    filz_mmap heap = make_synced(0);
    copy_file(PATH, COPY);
    add_nodes(&heap, 0, NODES, NODE_SIZE);
    add_nodes(&heap, 2, 3, 300 * KIB);
    read_at(PATH, 0, header, sizeof(header));
    assert_int_equal(filz_mmap_close(&heap), 0);
    write_at(COPY, 0, header, sizeof(header));
    assert_goes_on_with(COPY, NODES);
}

/* Writes zeros over the header of each chunk in turn that is later than the checkpoint. */
static void losing_any_chunk(bool clean)
{
    static const struct fz_chunk zeros;
    filz_mmap heap = make_synced(5);
    copy_file(PATH, COPY);
    assert_int_equal(filz_mmap_close(&heap), 0);
    const char *from = clean ? PATH : COPY;
    struct fz_header header = header_of(from);
    size_t lost = 0;
    for (uint64_t offset = fz_newest_checkpoint(&header)->cursor; offset < header.cursor; lost++) {
        struct fz_chunk chunk;
        read_at(from, (size_t)offset, &chunk, sizeof(chunk));
        copy_file(from, "lost.filz");
        write_at("lost.filz", (size_t)offset, &zeros, sizeof(zeros));
        assert_goes_on_with("lost.filz", NODES);
        offset += chunk.size;
    }
    assert_true(lost >= 5);
}

static void a_chunk_that_is_missing_after_a_crash_leads_to_the_checkpoint(void **state)
{
    (void)state;
    losing_any_chunk(false);
}

static void so_does_one_that_is_missing_after_an_orderly_end(void **state)
{
    (void)state;
    losing_any_chunk(true);
}

static void a_file_that_ends_before_the_newest_state_leads_to_the_checkpoint(void **state)
{
    (void)state;
    filz_mmap heap = make_synced(5);
    struct fz_header header = header_of(PATH);
    copy_file(PATH, COPY);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(truncate(COPY, (off_t)fz_newest_checkpoint(&header)->cursor), 0);
    assert_goes_on_with(COPY, NODES);
    copy_file(PATH, COPY);
    assert_int_equal(truncate(COPY, (off_t)fz_newest_checkpoint(&header)->cursor - 1), 0);
    heap = persistent_at(COPY);
    heap.capacity = 64 * MIB;
    assert_int_equal(filz_mmap_open(&heap), FILZ_ETRUNCATED);
}

static void of_two_checkpoints_the_older_one_is_there_while_the_newer_one_is_torn(void **state)
{
    (void)state;
    filz_mmap heap = make_synced(0);
    size_t cursor = (size_t)fz_newest_checkpoint(heap.heap->header)->cursor;
    add_nodes(&heap, 2, 3, 300 * KIB);
    assert_int_equal(filz_mmap_sync(&heap), 0);
    struct fz_header header = header_of(PATH);
    const struct fz_checkpoint *newest = fz_newest_checkpoint(&header);
    assert_true(newest->cursor > cursor);
    for (size_t byte = 0; byte < sizeof(*newest); byte++) {
        struct fz_header torn = header;
        ((unsigned char *)&torn.checkpoints[newest - header.checkpoints])[byte] ^= 0x10;
        assert_int_equal(fz_newest_checkpoint(&torn)->cursor, cursor);
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* The header as the kernel may write it at any moment of a reset. */
static void a_reset_empties_the_checkpoint_before_a_block_is_allocated(void **state)
{
    (void)state;
    filz_mmap heap = make_synced(2);
    assert_int_equal(filz_mmap_sync(&heap), 0);
    copy_file(PATH, COPY);
    assert_int_equal(filz_mmap_reset(&heap), 0);
    struct fz_header header = header_of(PATH);
    assert_int_equal(fz_newest_checkpoint(&header)->cursor, header.page_size);
    assert_int_equal(header.root, 0);
    assert_int_equal(header.cursor, header.page_size);
    add_nodes(&heap, 0, 10, 300 * KIB);
    read_at(PATH, 0, &header, sizeof(header));
    assert_int_equal(filz_mmap_close(&heap), 0);
    write_at(COPY, 0, &header, sizeof(header)); /* new header, old chunks */
    assert_goes_on_with(COPY, 0);
}

static void what_a_checkpoint_needs_is_neither_cut_nor_allocated_again(void **state)
{
    (void)state;
    filz_mmap heap = make_synced(0);
    char *block = filz_mmap_alloc(&heap, 20 * MIB, 1);
    assert_non_null(block);
    memset(block, 'b', 20 * MIB);
    assert_int_equal(filz_mmap_sync(&heap), 0);
    size_t cursor = (size_t)fz_newest_checkpoint(heap.heap->header)->cursor;
    assert_ptr_equal(filz_mmap_realloc(&heap, block, 20 * MIB, 1, 100), block);
    for (size_t i = 0; i < 10; i++)
        memset(filz_mmap_alloc(&heap, MIB, 1), 'n', MIB);
    assert_true(is_filled(block, 'b', SANITIZED_FOR_ADDRESSES ? 100 : 20 * MIB));
    assert_int_equal(filz_mmap_close(&heap), 0);
    struct stat status;
    assert_int_equal(stat(PATH, &status), 0);
    assert_true((size_t)status.st_size >= cursor);
}

/* What happens while a sync waits for the disk. libfilz calls this one, since it is linked statically. */
static void (*meanwhile)(void);

int msync(void *start, size_t length, int flags)
{
    void (*happens)(void) = __atomic_exchange_n(&meanwhile, NULL, __ATOMIC_ACQ_REL);
    if (happens != NULL)
        happens();
    return (int)syscall(SYS_msync, start, length, flags);
}

static filz_mmap shrinking;
static char *large;

static void shrink_large(void)
{
    assert_ptr_equal(filz_mmap_realloc(&shrinking, large, MIB, 8, 10), large);
}

static void a_block_may_shrink_while_another_thread_syncs(void **state)
{
    (void)state;
    shrinking = make_synced(0);
    large = filz_mmap_alloc(&shrinking, MIB, 8);
    assert_non_null(large);
    meanwhile = shrink_large;
    assert_int_equal(filz_mmap_sync(&shrinking), 0);
    assert_int_equal(filz_mmap_close(&shrinking), 0);
    assert_goes_on_with(PATH, NODES);
}

static void bytes_of_a_synced_block_that_shrank_are_not_allocated_again(void **state)
{
    (void)state;
    filz_mmap heap = make_synced(0);
    char *block = filz_mmap_alloc(&heap, 8000, 8);
    assert_non_null(block);
    assert_int_equal(filz_mmap_sync(&heap), 0);
    char *shrunk = filz_mmap_realloc(&heap, block, 8000, 8, 16);
    assert_ptr_equal(shrunk, block);
    char *next = filz_mmap_alloc(&heap, 1000, 8);
    assert_true(next < shrunk || next >= shrunk + 8000);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_root_in_what_is_given_back_is_none(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    char *block = filz_mmap_alloc(&heap, 2 * MIB, 8);
    assert_int_equal(filz_mmap_set_root(&heap, block + 2 * MIB - 1), 0);
    assert_ptr_equal(filz_mmap_realloc(&heap, block, 2 * MIB, 8, 16), block);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_null(filz_mmap_root(&heap));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static int crash_with_header_of(void *path)
{
    filz_mmap heap = persistent_at(path);
    heap.capacity = 64 * MIB;
    EXPECT(filz_mmap_open(&heap) == 0 && filz_mmap_root(&heap) == NULL);
    EXPECT(filz_mmap_alloc(&heap, 100, 1) != NULL);
    _exit(0);
}

/* Killed just after the first store of a reset: the root and the checkpoint are still there. */
static void a_reset_that_was_begun_is_a_reset(void **state)
{
    (void)state;
    filz_mmap heap = make_synced(2);
    struct fz_header header = header_of(PATH);
    assert_int_equal(filz_mmap_close(&heap), 0);
    header.cursor = (size_t)header.page_size;
    header.clean = 0;
    write_at(PATH, 0, &header, sizeof(header));
    assert_int_equal(in_child(crash_with_header_of, PATH), 0);
    header = header_of(PATH);
    assert_int_equal(fz_newest_checkpoint(&header)->cursor, header.page_size);
    assert_int_equal(in_child(crash_with_header_of, PATH), 0);
}

static int crash_with_nodes(void *unused)
{
    (void)unused;
    filz_mmap heap = persistent_at(PATH);
    add_nodes(&heap, 0, NODES, NODE_SIZE);
    _exit(0);
}

/* Nothing was promised of it; but it must be possible to go on. */
static void a_heap_that_was_never_synced_opens_empty_after_a_power_cut(void **state)
{
    (void)state;
    assert_int_equal(in_child(crash_with_nodes, NULL), 0);
    assert_int_equal(truncate(PATH, 2 * sysconf(_SC_PAGESIZE)), 0);
    assert_goes_on_with(PATH, 0);
}

static void one_that_ended_in_order_is_refused_instead(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    add_nodes(&heap, 0, NODES, NODE_SIZE);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(truncate(PATH, 2 * sysconf(_SC_PAGESIZE)), 0);
    struct snapshot before = snapshot_of(PATH);
    assert_int_equal(filz_mmap_open(&heap), FILZ_ETRUNCATED);
    assert_as_it_was(PATH, before);
}

struct syncing {
    filz_mmap *heap;
    bool stop;
};

static void *sync_until_told(void *context)
{
    struct syncing *syncing = context;
    while (!__atomic_load_n(&syncing->stop, __ATOMIC_ACQUIRE))
        if (filz_mmap_sync(syncing->heap) != 0)
            return syncing;
    return NULL;
}

/* A checkpoint never goes back: what one thread's sync has promised, another's doesn't take away. */
static void threads_that_sync_at_once_leave_the_newest_checkpoint(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    heap.capacity = 64 * MIB;
    add_nodes(&heap, 0, 1, NODE_SIZE);
    struct syncing syncing = {.heap = &heap};
    pthread_t threads[3];
    size_t rounds = rounds_of(1000);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sync_until_told, &syncing), 0);
    for (size_t i = 0; i < rounds; i++) {
        size_t cursor = stats_of(&heap).in_chunks;
        assert_int_equal(filz_mmap_sync(&heap), 0);
        struct fz_header header = header_of(PATH);
        const struct fz_checkpoint *checkpoint = fz_newest_checkpoint(&header);
        assert_true(checkpoint != NULL && checkpoint->cursor >= cursor);
        add_nodes(&heap, 0, 1, 20 * KIB);
    }
    __atomic_store_n(&syncing.stop, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
    print_message("%zu syncs beside those of 3 threads\n", rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_newer_header_over_the_synced_file_opens_at_the_checkpoint),
        IN_FRESH_DIRECTORY(a_chunk_that_is_missing_after_a_crash_leads_to_the_checkpoint),
        IN_FRESH_DIRECTORY(so_does_one_that_is_missing_after_an_orderly_end),
        IN_FRESH_DIRECTORY(a_file_that_ends_before_the_newest_state_leads_to_the_checkpoint),
        IN_FRESH_DIRECTORY(of_two_checkpoints_the_older_one_is_there_while_the_newer_one_is_torn),
        IN_FRESH_DIRECTORY(a_reset_empties_the_checkpoint_before_a_block_is_allocated),
        IN_FRESH_DIRECTORY(what_a_checkpoint_needs_is_neither_cut_nor_allocated_again),
        IN_FRESH_DIRECTORY(a_block_may_shrink_while_another_thread_syncs),
        IN_FRESH_DIRECTORY(bytes_of_a_synced_block_that_shrank_are_not_allocated_again),
        IN_FRESH_DIRECTORY(a_root_in_what_is_given_back_is_none),
        IN_FRESH_DIRECTORY(a_reset_that_was_begun_is_a_reset),
        IN_FRESH_DIRECTORY(a_heap_that_was_never_synced_opens_empty_after_a_power_cut),
        IN_FRESH_DIRECTORY(one_that_ended_in_order_is_refused_instead),
        IN_FRESH_DIRECTORY(threads_that_sync_at_once_leave_the_newest_checkpoint),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
