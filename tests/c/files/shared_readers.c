/* Readers of a shared heap: what they see while a writer writes to it, and what they don't lose by what it does. */
#include "shared_readers.h"

#include <sys/resource.h>

enum { MANY = 20000 };

/* -- What it sees -------------------------------------------------------------------------------------------------- */

static void a_reader_sees_what_is_written_while_it_has_the_heap_open(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct actor reader = open_reader();
    assert_int_equal(ask(&reader, WALK), SMALL);
    off_t before = status_of(PATH).st_size;
    add_nodes(MANY);
    assert_true(status_of(PATH).st_size > before);
    assert_int_equal(ask(&reader, WALK), SMALL + MANY);
    assert_int_equal(ask(&reader, COUNT_BLOCKS), stats_of(&heap).blocks);
    assert_int_equal(ask(&reader, COUNT_PAGES), count_used_pages(&heap));
    assert_true(ask(&reader, TRY_TO_CHANGE));
    assert_int_equal(filz_mmap_set_root(&heap, NULL), 0);
    assert_int_equal(ask(&reader, WALK), -2);
    end_reader(&reader);
}

static void a_reader_goes_on_when_the_writer_closes_and_when_the_next_one_opens(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct actor reader = open_reader();
    for (int run = 1; run <= 3; run++) {
        assert_int_equal(filz_mmap_close(&heap), 0);
        assert_int_equal(ask(&reader, WALK), run * SMALL);
        assert_int_equal(ask(&reader, COUNT_BLOCKS), run * SMALL + 1);
        add_nodes(SMALL);
        assert_int_equal(ask(&reader, WALK), (run + 1) * SMALL);
    }
    struct actor late = open_reader();
    assert_int_equal(ask(&late, WALK), 4 * SMALL);
    end_reader(&late);
    end_reader(&reader);
}

/* A large block is cut off at its end again; and the file is at its close, but not what a reader may look at. */
static void a_block_that_shrank_stays_readable_when_the_writer_closes(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct actor reader = open_reader();
    char *block = filz_mmap_alloc(&heap, 12 * MIB, 1);
    assert_non_null(block);
    last_byte = block + 12 * MIB - 1;
    *last_byte = 'l';
    struct actor second = open_reader();
    assert_int_equal(ask(&second, READ_LAST), 'l');
    assert_ptr_equal(filz_mmap_realloc(&heap, block, 12 * MIB, 1, 1), block);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(ask(&second, READ_LAST), 'l');
    end_reader(&second);
    end_reader(&reader);
}

static void a_reader_maps_no_more_than_its_capacity(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct actor reader = begin_reader((size_t)sysconf(_SC_PAGESIZE));
    assert_int_equal(ask(&reader, OPEN), FILZ_ECAPACITY);
    end_reader(&reader);
    reader = begin_reader(MIB);
    assert_int_equal(ask(&reader, OPEN), 0);
    assert_int_equal(ask(&reader, WALK), SMALL);
    void *after = filz_mmap_alloc(&heap, 2 * MIB, 1);
    assert_non_null(after);
    assert_int_equal(filz_mmap_set_root(&heap, (char *)after + 2 * MIB - 1), 0);
    assert_int_equal(ask(&reader, WALK), -2);
    end_reader(&reader);
    reader = begin_reader(MIB);
    assert_int_equal(ask(&reader, OPEN), FILZ_ETOOSMALL);
    end_reader(&reader);
}

/* What a reader reads one after the other, the writer may have changed in between. */
static void a_reader_opens_while_the_writer_changes_the_header(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct fz_header *header = heap.heap->header;
    size_t last = (size_t)header->last;
    header->last = header->cursor;
    struct actor reader = open_reader();
    header->last = last;
    assert_int_equal(ask(&reader, WALK), SMALL);
    end_reader(&reader);
}

static bool resizing_ends;

static void *resize_newest(void *unused)
{
    static const size_t sizes[] = {MIB, 1};
    char *block = filz_mmap_alloc(&heap, 1, 1);
    for (size_t i = 0; block != NULL && !__atomic_load_n(&resizing_ends, __ATOMIC_RELAXED); i++)
        block = filz_mmap_realloc(&heap, block, sizes[(i + 1) % 2], 1, sizes[i % 2]);
    return block != NULL ? NULL : unused;
}

static void a_reader_counts_while_the_last_chunk_grows_and_shrinks(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    pthread_t thread;
    size_t rounds = rounds_of(100000);
    struct actor reader = open_reader();
    resizing_ends = false;
    assert_int_equal(pthread_create(&thread, NULL, resize_newest, NULL), 0);
    while (stats_of(&heap).blocks == SMALL + 1)
        sched_yield();
    for (size_t i = 0; i < rounds; i++) {
        assert_int_equal(ask(&reader, COUNT_BLOCKS), SMALL + 2);
        assert_true(ask(&reader, COUNT_PAGES) > 0);
    }
    __atomic_store_n(&resizing_ends, true, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("counted %zu times\n", rounds);
    end_reader(&reader);
}

static void a_reader_finds_no_root_after_a_writer_was_killed_in_a_reset(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    assert_int_equal(filz_mmap_close(&heap), 0);
    struct fz_header header = header_of(PATH);
    size_t cursor = (size_t)header.page_size; /* fz_heap_set_cursor in begin() */
    uint32_t clean = 0;
    write_at(PATH, offsetof(struct fz_header, cursor), &cursor, sizeof(cursor));
    write_at(PATH, offsetof(struct fz_header, clean), &clean, sizeof(clean));
    struct actor reader = open_reader();
    assert_int_equal(ask(&reader, WALK), -2);
    end_reader(&reader);
}

static void realloc_of_a_newer_block_is_EROFS_for_a_reader(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct actor reader = open_reader();
    struct lists *lists = lists_of(&heap);
    lists->newest[0] = in_thread(allocate_a_node, &heap); /* in a chunk that the reader hasn't seen */
    assert_int_equal(ask(&reader, REALLOC_NEWEST), EROFS);
    end_reader(&reader);
}

static void a_readers_capacity_of_0_is_FILZ_CAPACITY(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    setenv("FILZ_CAPACITY", "1M", 1);
    struct actor reader = open_reader();
    unsetenv("FILZ_CAPACITY");
    assert_int_equal(ask(&reader, GET_CAPACITY), MIB);
    end_reader(&reader);
}

/* -- A growth that fails ------------------------------------------------------------------------------------------- */

static void grow_without_address_space(void)
{
    filz_mmap writer = shared_at(PATH);
    writer.capacity = 256 * MIB;
    say(filz_mmap_open(&writer));
    wait_for_go();
    struct rlimit limit = {MIB, MIB};
    setrlimit(RLIMIT_AS, &limit);
    say(filz_mmap_alloc(&writer, 80 * MIB, 1) != NULL);
    say(status_of(PATH).st_size);
    _exit(0);
}

static void a_growth_that_fails_takes_no_memory_from_readers(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    if (SANITIZED || is_emulated() || runs_on_valgrind())
        SKIP("RLIMIT_AS isn't the program's alone here");
    assert_int_equal(filz_mmap_close(&heap), 0);
    heap.capacity = 256 * MIB;
    add_nodes(1);
    char *block = filz_mmap_alloc(&heap, 128 * MIB, 1);
    assert_non_null(block);
    last_byte = block + 128 * MIB - 1;
    *last_byte = 'l';
    struct actor reader = open_reader();
    assert_int_equal(ask(&reader, READ_LAST), 'l');
    assert_ptr_equal(filz_mmap_realloc(&heap, block, 128 * MIB, 1, 1), block);
    assert_int_equal(filz_mmap_close(&heap), 0);
    int64_t before = status_of(PATH).st_size;
    struct actor writer = begin_actor(grow_without_address_space);
    assert_int_equal(hear(&writer), 0);
    assert_int_equal(go(&writer), 0);
    assert_true(hear(&writer) >= before);
    end_actor(&writer);
    assert_int_equal(ask(&reader, READ_LAST), 'l');
    end_reader(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SHARED_HEAP(a_reader_sees_what_is_written_while_it_has_the_heap_open),
        WITH_SHARED_HEAP(a_reader_goes_on_when_the_writer_closes_and_when_the_next_one_opens),
        WITH_SHARED_HEAP(a_block_that_shrank_stays_readable_when_the_writer_closes),
        WITH_SHARED_HEAP(a_reader_maps_no_more_than_its_capacity),
        WITH_SHARED_HEAP(a_reader_opens_while_the_writer_changes_the_header),
        WITH_SHARED_HEAP(a_reader_counts_while_the_last_chunk_grows_and_shrinks),
        WITH_SHARED_HEAP(a_reader_finds_no_root_after_a_writer_was_killed_in_a_reset),
        WITH_SHARED_HEAP(realloc_of_a_newer_block_is_EROFS_for_a_reader),
        WITH_SHARED_HEAP(a_readers_capacity_of_0_is_FILZ_CAPACITY),
        WITH_SHARED_HEAP(a_growth_that_fails_takes_no_memory_from_readers),
    };
    return cmocka_run_group_tests_name("shared_readers", tests, NULL, NULL);
}
