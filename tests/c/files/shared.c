/* A shared writer: others read the heap while it writes; and who may not. */
#include "shared.h"

enum { MANY = 20000 };

#define NEED_SECOND_LOCK NEED_LINUX("lock for a writer beside readers")

/* -- A reader in another process ----------------------------------------------------------------------------------- */

/* It does what each byte that it is sent asks for, and answers with a number. */
struct reader {
    pid_t pid;
    int commands[2], answers[2];
    size_t capacity;
};

enum command { OPEN = 'o', WALK = 'w', COUNT_BLOCKS = 'b', COUNT_PAGES = 'p', READ_LAST = 'l', TRY_TO_CHANGE = 'c' };

static char *last_byte; /* of a block that the writer made */

static int64_t count_blocks(const filz_mmap *reader)
{
    filz_mmap_info info;
    if (filz_mmap_stats(reader, &info) != 0 || info.used > info.in_chunks || info.in_chunks > info.committed)
        return -1;
    return (int64_t)info.blocks;
}

static int64_t count_used_pages(const filz_mmap *reader)
{
    static unsigned char states[16 << 10];
    size_t count = pages_of(reader, 0, sizeof(states), states);
    int64_t used = 0;
    for (size_t i = 0; i < count; i++)
        used += (states[i] & FILZ_PAGE_KIND) == FILZ_PAGE_USED;
    return used;
}

static int64_t answer(filz_mmap *reader, enum command command)
{
    switch (command) {
    case OPEN:
        return filz_mmap_open(reader);
    case WALK:
        return filz_mmap_root(reader) != NULL ? walk_list(reader, filz_mmap_root(reader), 0) : -2;
    case COUNT_BLOCKS:
        return count_blocks(reader);
    case COUNT_PAGES:
        return count_used_pages(reader);
    case READ_LAST:
        return *(volatile char *)last_byte;
    default:
        return filz_mmap_set_root(reader, NULL) == EROFS && filz_mmap_reset(reader) == EROFS;
    }
}

static int serve(void *context)
{
    struct reader *self = context;
    char command;
    filz_mmap_close(&heap);
    close(self->commands[1]);
    filz_mmap reader = reader_of(PATH);
    reader.capacity = self->capacity;
    while (read(self->commands[0], &command, 1) == 1) {
        int64_t number = answer(&reader, (enum command)command);
        EXPECT(write(self->answers[1], &number, sizeof(number)) == sizeof(number));
    }
    return filz_mmap_close(&reader);
}

static int64_t ask(struct reader *reader, enum command command)
{
    char byte = (char)command;
    int64_t number;
    assert_int_equal(write(reader->commands[1], &byte, 1), 1);
    assert_int_equal(read(reader->answers[0], &number, sizeof(number)), sizeof(number));
    return number;
}

static struct reader *begin_reader(size_t capacity)
{
    static struct reader readers[8];
    static size_t count;
    struct reader *reader = &readers[count++ % COUNT(readers)];
    reader->capacity = capacity;
    assert_int_equal(pipe(reader->commands) | pipe(reader->answers), 0);
    reader->pid = begin_child(serve, reader);
    close(reader->commands[0]);
    close(reader->answers[1]);
    return reader;
}

static struct reader *open_reader(void)
{
    struct reader *reader = begin_reader(0);
    assert_int_equal(ask(reader, OPEN), 0);
    return reader;
}

static void end_reader(struct reader *reader)
{
    close(reader->commands[1]);
    assert_int_equal(end_child(reader->pid), 0);
    close(reader->answers[0]);
}

/* -- What a reader sees -------------------------------------------------------------------------------------------- */

static void a_reader_sees_what_is_written_while_it_has_the_heap_open(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct reader *reader = open_reader();
    assert_int_equal(ask(reader, WALK), SMALL);
    off_t before = status_of(PATH).st_size;
    add_nodes(MANY);
    assert_true(status_of(PATH).st_size > before);
    assert_int_equal(ask(reader, WALK), SMALL + MANY);
    assert_int_equal(ask(reader, COUNT_BLOCKS), stats_of(&heap).blocks);
    assert_int_equal(ask(reader, COUNT_PAGES), count_used_pages(&heap));
    assert_true(ask(reader, TRY_TO_CHANGE));
    assert_int_equal(filz_mmap_set_root(&heap, NULL), 0);
    assert_int_equal(ask(reader, WALK), -2);
    end_reader(reader);
}

static void a_reader_goes_on_when_the_writer_is_gone_and_when_the_next_one_comes(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct reader *reader = open_reader();
    for (int run = 1; run <= 3; run++) {
        assert_int_equal(filz_mmap_close(&heap), 0);
        assert_int_equal(ask(reader, WALK), run * SMALL);
        assert_int_equal(ask(reader, COUNT_BLOCKS), run * SMALL + 1);
        add_nodes(SMALL);
        assert_int_equal(ask(reader, WALK), (run + 1) * SMALL);
    }
    struct reader *late = open_reader();
    assert_int_equal(ask(late, WALK), 4 * SMALL);
    end_reader(late);
    end_reader(reader);
}

/* A large block is cut off at its end again; and the file is at its close, but not what a reader may look at. */
static void a_block_that_shrank_stays_readable_when_the_writer_closes(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct reader *reader = open_reader();
    char *block = filz_mmap_alloc(&heap, 12 * MIB, 1);
    assert_non_null(block);
    last_byte = block + 12 * MIB - 1;
    *last_byte = 'l';
    struct reader *second = open_reader();
    assert_int_equal(ask(second, READ_LAST), 'l');
    assert_ptr_equal(filz_mmap_realloc(&heap, block, 12 * MIB, 1, 1), block);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(ask(second, READ_LAST), 'l');
    end_reader(second);
    end_reader(reader);
}

static void a_reader_maps_no_more_than_its_capacity(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct reader *reader = begin_reader((size_t)sysconf(_SC_PAGESIZE));
    assert_int_equal(ask(reader, OPEN), FILZ_ECAPACITY);
    end_reader(reader);
    reader = begin_reader(MIB);
    assert_int_equal(ask(reader, OPEN), 0);
    assert_int_equal(ask(reader, WALK), SMALL);
    void *after = filz_mmap_alloc(&heap, 2 * MIB, 1);
    assert_non_null(after);
    assert_int_equal(filz_mmap_set_root(&heap, (char *)after + 2 * MIB - 1), 0);
    assert_int_equal(ask(reader, WALK), -2);
    end_reader(reader);
    reader = begin_reader(MIB);
    assert_int_equal(ask(reader, OPEN), FILZ_ETOOSMALL);
    end_reader(reader);
}

/* What a reader reads one after the other, the writer may have changed in between. */
static void a_reader_opens_whatever_the_writer_is_just_changing(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct fz_header *header = heap.heap->header;
    size_t last = (size_t)header->last;
    header->last = header->cursor;
    struct reader *reader = open_reader();
    header->last = last;
    assert_int_equal(ask(reader, WALK), SMALL);
    end_reader(reader);
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
    struct reader *reader = open_reader();
    resizing_ends = false;
    assert_int_equal(pthread_create(&thread, NULL, resize_newest, NULL), 0);
    while (stats_of(&heap).blocks == SMALL + 1)
        sched_yield();
    for (size_t i = 0; i < rounds; i++) {
        assert_int_equal(ask(reader, COUNT_BLOCKS), SMALL + 2);
        assert_true(ask(reader, COUNT_PAGES) > 0);
    }
    __atomic_store_n(&resizing_ends, true, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("counted %zu times\n", rounds);
    end_reader(reader);
}

/* -- Who may have it open together --------------------------------------------------------------------------------- */

static int opens_as(unsigned flags)
{
    filz_mmap_close(&heap);
    filz_mmap other = shared_at(PATH);
    other.flags = flags;
    int error = filz_mmap_open(&other);
    return error == 0 ? filz_mmap_close(&other) : error == FILZ_EINUSE ? 2 : 3;
}

static int opens_to_write(void *unused)
{
    (void)unused;
    return opens_as(FILZ_MMAP_PERSISTENT);
}

static int opens_shared(void *unused)
{
    (void)unused;
    return opens_as(FILZ_MMAP_SHARED);
}

static int opens_privately(void *unused)
{
    (void)unused;
    return opens_as(FILZ_MMAP_PRIVATE);
}

static int opens_to_read(void *unused)
{
    (void)unused;
    return opens_as(FILZ_MMAP_READ_ONLY);
}

static void beside_a_shared_writer_there_are_readers_and_no_other(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    for (int opened = 0; opened < 2; opened++) {
        assert_int_equal(in_child(opens_to_write, NULL), 2);
        assert_int_equal(in_child(opens_shared, NULL), 2);
        assert_int_equal(in_child(opens_privately, NULL), 2);
        assert_int_equal(in_child(opens_to_read, NULL), 0);
        assert_int_equal(filz_mmap_close(&heap), 0);
        add_nodes(1); /* opened again, and not made */
    }
    filz_mmap second = shared_at(PATH);
    assert_int_equal(filz_mmap_open(&second), FILZ_EINUSE);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(in_child(opens_to_write, NULL), 0);
    assert_int_equal(in_child(opens_privately, NULL), 0);
}

static int shares_after_the_fork(void *unused)
{
    (void)unused;
    for (int i = 0; i < SMALL; i++)
        EXPECT(filz_mmap_alloc(&heap, NODE, 8));
    return opens_as(FILZ_MMAP_SHARED) == 2 ? 0 : 1;
}

static void a_forked_child_has_its_own_heap_and_leaves_the_lock_to_its_parent(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct reader *reader = open_reader();
    assert_int_equal(in_child(shares_after_the_fork, NULL), 0);
    assert_int_equal(in_child(opens_to_write, NULL), 2);
    assert_int_equal(ask(reader, COUNT_BLOCKS), SMALL + 1);
    end_reader(reader);
}

static void a_writer_that_no_reader_expects_must_be_alone(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    assert_int_equal(filz_mmap_close(&heap), 0);
    filz_mmap plain = shared_at(PATH);
    plain.flags = FILZ_MMAP_PERSISTENT;
    assert_int_equal(filz_mmap_open(&plain), 0); /* now the file says that it isn't shared */
    assert_int_equal(filz_mmap_close(&plain), 0);
    struct reader *reader = open_reader();
    assert_int_equal(filz_mmap_open(&heap), FILZ_EINUSE);
    end_reader(reader);
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
    reader = open_reader();
    heap.capacity *= 2; /* beyond what the reader has mapped */
    assert_int_equal(filz_mmap_open(&heap), FILZ_EINUSE);
    heap.capacity = 0;
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(stats_of(&heap).capacity, 16 * MIB);
    end_reader(reader);
}

static void a_writer_that_falls_back_to_the_checkpoint_must_be_alone(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    assert_int_equal(filz_mmap_sync(&heap), 0);
    void *later = in_thread(allocate_a_node, &heap);
    assert_int_equal(filz_mmap_set_root(&heap, later), 0);
    size_t offset = (size_t)((uintptr_t)heap.heap->last - heap.heap->backing.base);
    assert_int_equal(filz_mmap_close(&heap), 0);
    write_at(PATH, offset, (char[64]){0}, 64);
    struct reader *reader = open_reader();
    assert_int_equal(ask(reader, WALK), SMALL);
    assert_int_equal(filz_mmap_open(&heap), FILZ_EINUSE);
    assert_int_equal(ask(reader, WALK), SMALL);
    end_reader(reader);
    add_nodes(1);
    reader = open_reader();
    assert_int_equal(ask(reader, WALK), SMALL + 1);
    end_reader(reader);
}

static void reset_is_refused_while_others_read(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct reader *reader = open_reader();
    for (int synced = 0; synced < 2; synced++) {
        size_t used = stats_of(&heap).used;
        assert_int_equal(filz_mmap_reset(&heap), EBUSY);
        assert_int_equal(stats_of(&heap).used, used);
        assert_int_equal(ask(reader, WALK), SMALL);
        assert_int_equal(in_child(opens_to_write, NULL), 2);
        assert_int_equal(in_child(opens_to_read, NULL), 0);
        assert_int_equal(filz_mmap_sync(&heap), 0);
    }
    end_reader(reader);
    assert_int_equal(filz_mmap_reset(&heap), 0);
    add_nodes(1);
    reader = open_reader();
    assert_int_equal(ask(reader, WALK), 1);
    assert_int_equal(in_child(opens_to_write, NULL), 2);
    end_reader(reader);
}

static void nothing_is_published_in_place_of_a_heap_that_is_written(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    filz_mmap other = persistent_at("new.filz");
    assert_non_null(lists_of(&other));
    assert_int_equal(filz_mmap_publish(&other, PATH), FILZ_EINUSE);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(filz_mmap_open(&other), 0);
    assert_int_equal(filz_mmap_publish(&other, PATH), 0);
    heap.flags = FILZ_MMAP_READ_ONLY;
    assert_int_equal(filz_mmap_open(&heap), 0);
}

static void a_shared_heap_is_published_like_any_other(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct reader *reader = open_reader();
    assert_int_equal(filz_mmap_publish(&heap, "other.filz"), 0);
    assert_int_equal(ask(reader, WALK), SMALL);
    filz_mmap writer = shared_at("other.filz");
    assert_int_equal(filz_mmap_open(&writer), 0);
    struct lists *lists = filz_mmap_root(&writer);
    assert_true(add_node(&writer, lists, 0, NODE) != 0);
    assert_int_equal(ask(reader, WALK), SMALL + 1);
    assert_int_equal(filz_mmap_close(&writer), 0);
    end_reader(reader);
}

/* -- Refused ------------------------------------------------------------------------------------------------------- */

static void flags_that_exclude_each_other_are_refused(void **state)
{
    (void)state;
    static const unsigned flags[] = {
        FILZ_MMAP_SHARED | FILZ_MMAP_READ_ONLY,
        FILZ_MMAP_SHARED | FILZ_MMAP_PRIVATE,
        FILZ_MMAP_SHARED | FILZ_MMAP_PRIVATE | FILZ_MMAP_READ_ONLY,
    };
    for (size_t i = 0; i < COUNT(flags); i++) {
        filz_mmap other = shared_at(PATH);
        other.flags = flags[i];
        assert_int_equal(filz_mmap_open(&other), FILZ_EFLAGS);
    }
    filz_mmap unnamed = shared_at(NULL);
    assert_int_equal(filz_mmap_open(&unnamed), FILZ_EFLAGS);
}

static void where_there_is_no_second_lock_it_is_an_error_and_leaves_no_file(void **state)
{
    (void)state;
    if (!ON_POSIX)
        SKIP("there is one");
    filz_mmap other = shared_at(PATH);
    assert_int_equal(filz_mmap_open(&other), EOPNOTSUPP);
    assert_false(exists(PATH));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SHARED_HEAP(a_reader_sees_what_is_written_while_it_has_the_heap_open),
        WITH_SHARED_HEAP(a_reader_goes_on_when_the_writer_is_gone_and_when_the_next_one_comes),
        WITH_SHARED_HEAP(a_block_that_shrank_stays_readable_when_the_writer_closes),
        WITH_SHARED_HEAP(a_reader_maps_no_more_than_its_capacity),
        WITH_SHARED_HEAP(a_reader_opens_whatever_the_writer_is_just_changing),
        WITH_SHARED_HEAP(a_reader_counts_while_the_last_chunk_grows_and_shrinks),
        WITH_SHARED_HEAP(beside_a_shared_writer_there_are_readers_and_no_other),
        WITH_SHARED_HEAP(a_forked_child_has_its_own_heap_and_leaves_the_lock_to_its_parent),
        WITH_SHARED_HEAP(a_writer_that_no_reader_expects_must_be_alone),
        WITH_SHARED_HEAP(a_writer_that_falls_back_to_the_checkpoint_must_be_alone),
        WITH_SHARED_HEAP(reset_is_refused_while_others_read),
        WITH_SHARED_HEAP(nothing_is_published_in_place_of_a_heap_that_is_written),
        WITH_SHARED_HEAP(a_shared_heap_is_published_like_any_other),
        IN_FRESH_DIRECTORY(flags_that_exclude_each_other_are_refused),
        IN_FRESH_DIRECTORY(where_there_is_no_second_lock_it_is_an_error_and_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
