/* A shared writer and others at the moments at which they could come into each other's way, while one of them opens the
 * heap. The linker leads some calls of the library's here, so that a process can be stopped between any two of them. */
#include "shared_readers.h"

#include "clones.h"

/* -- Moments ------------------------------------------------------------------------------------------------------- */

static void (*before_set)(void), (*after_set)(int result); /* F_OFD_SETLK */
static size_t reads;

int __real_fcntl64(int fd, int command, void *argument);
int __wrap_fcntl64(int fd, int command, void *argument);
ssize_t __real_pread64(int fd, void *bytes, size_t length, off64_t offset);
ssize_t __wrap_pread64(int fd, void *bytes, size_t length, off64_t offset);

int __wrap_fcntl64(int fd, int command, void *argument)
{
    bool sets = command == F_OFD_SETLK && ((struct flock *)argument)->l_type != F_UNLCK;
    if (sets && before_set != NULL)
        before_set();
    int result = __real_fcntl64(fd, command, argument);
    if (sets && after_set != NULL)
        after_set(result);
    return result;
}

ssize_t __wrap_pread64(int fd, void *bytes, size_t length, off64_t offset)
{
    reads++;
    return __real_pread64(fd, bytes, length, offset);
}

static void say_and_wait(void)
{
    before_set = NULL;
    say(1000);
    wait_for_go();
}

static void say_and_wait_after(int result)
{
    after_set = NULL;
    say(1000 + result);
    wait_for_go();
}

/* -- While a writer opens the heap --------------------------------------------------------------------------------- */

static void open_writer_slowly(void)
{
    filz_mmap writer = shared_at(PATH);
    before_set = say_and_wait;
    int error = filz_mmap_open(&writer);
    if (error == 0)
        add_node(&writer, lists_of(&writer), 0, NODE);
    say(error);
    say(filz_mmap_is_current(&writer));
    filz_mmap_close(&writer);
}

static void a_writer_never_opens_a_file_that_was_just_replaced(void **state)
{
    (void)state;
    assert_int_equal(filz_mmap_close(&heap), 0);
    struct actor reader = open_reader();
    struct actor writer = begin_actor(open_writer_slowly);
    assert_int_equal(hear(&writer), 1000);
    filz_mmap other = persistent_at("new.filz");
    assert_non_null(lists_of(&other));
    int published = filz_mmap_publish(&other, PATH);
    int64_t opened = go(&writer), is_current = hear(&writer);
    end_actor(&writer);
    end_actor(&reader);
    assert_true(published != 0 || opened != 0 || is_current); /* one of both */
}

static void a_writer_that_opens_just_when_the_last_one_closes_finds_its_blocks(void **state)
{
    (void)state;
    struct actor writer = begin_actor(open_writer_slowly);
    assert_int_equal(hear(&writer), 1000);
    void *block = filz_mmap_alloc(&heap, 8 * MIB, 1); /* the file grows */
    assert_non_null(block);
    assert_int_equal(filz_mmap_close(&heap), 0);
    int64_t opened = go(&writer);
    hear(&writer);
    end_actor(&writer);
    assert_int_equal(opened, 0);
}

static void serve_slowly(void)
{
    after_set = say_and_wait_after;
    serve();
}

static void a_reader_that_opens_just_when_the_writer_closes_finds_its_blocks(void **state)
{
    (void)state;
    assert_int_equal(filz_mmap_sync(&heap), 0);
    struct actor reader = begin_actor(serve_slowly);
    assert_int_equal(ask(&reader, OPEN), 1000);
    assert_non_null(filz_mmap_alloc(&heap, 8 * MIB, 1)); /* the file grows */
    add_nodes(SMALL);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(go(&reader), 0);
    assert_int_equal(ask(&reader, WALK), 2 * SMALL);
    end_reader(&reader);
}

static void open_and_allocate_zeroed(void)
{
    filz_mmap writer = shared_at(PATH);
    before_set = say_and_wait;
    say(filz_mmap_open(&writer));
    char *block = filz_mmap_alloc_zeroed(&writer, 6 * MIB, 1);
    say(block != NULL ? is_filled(block, 0, 6 * MIB) : -1);
    filz_mmap_close(&writer);
}

static void a_zeroed_block_is_zero_whatever_the_last_writer_stored_meanwhile(void **state)
{
    (void)state;
    struct actor writer = begin_actor(open_and_allocate_zeroed);
    assert_int_equal(hear(&writer), 1000);
    char *block = filz_mmap_alloc(&heap, 8 * MIB, 1);
    assert_non_null(block);
    memset(block, 'x', 8 * MIB);
    assert_ptr_equal(filz_mmap_realloc(&heap, block, 8 * MIB, 1, 1), block);
    assert_int_equal(filz_mmap_close(&heap), 0);
    int64_t opened = go(&writer), is_zero = hear(&writer);
    end_actor(&writer);
    assert_int_equal(opened, 0);
    assert_int_equal(is_zero, 1);
}

/* -- After a power cut --------------------------------------------------------------------------------------------- */

static void open_writer_and_wait_with_its_lock(void)
{
    filz_mmap writer = shared_at(PATH);
    after_set = say_and_wait_after;
    say(filz_mmap_open(&writer));
}

static void a_reader_sees_the_checkpoint_while_a_writer_is_being_refused(void **state)
{
    (void)state;
    assert_int_equal(filz_mmap_sync(&heap), 0);
    void *later = in_thread(allocate_a_node, &heap);
    assert_int_equal(filz_mmap_set_root(&heap, later), 0);
    size_t offset = (size_t)((uintptr_t)heap.heap->last - heap.heap->backing.base);
    assert_int_equal(filz_mmap_close(&heap), 0);
    write_at(PATH, offset, (char[4096]){0}, 4096); /* as a power cut does */
    struct actor first = open_reader();
    assert_int_equal(ask(&first, WALK), SMALL);
    struct actor writer = begin_actor(open_writer_and_wait_with_its_lock);
    assert_int_equal(hear(&writer), 1000);
    struct actor second = begin_reader(0);
    int64_t opened = ask(&second, OPEN), walked = opened == 0 ? ask(&second, WALK) : SMALL;
    assert_int_equal(go(&writer), FILZ_EINUSE);
    end_actor(&writer);
    end_actor(&second);
    end_actor(&first);
    assert_int_equal(walked, SMALL);
}

static void a_reader_may_open_while_a_shared_writer_opens(void **state)
{
    (void)state;
    assert_int_equal(filz_mmap_close(&heap), 0);
    struct actor writer = begin_actor(open_writer_and_wait_with_its_lock);
    assert_int_equal(hear(&writer), 1000);
    struct actor reader = begin_reader(0);
    int64_t opened = ask(&reader, OPEN);
    assert_int_equal(go(&writer), 0);
    end_actor(&writer);
    end_actor(&reader);
    assert_int_equal(opened, 0);
}

/* -- A writer that is refused -------------------------------------------------------------------------------------- */

static pid_t raw_child;

static void clone_if_refused(int result)
{
    after_set = NULL;
    if (result == 0)
        return;
    raw_child = clone_without_handlers();
    if (raw_child == 0) {
        pause();
        _exit(0);
    }
}

static void be_refused(void)
{
    filz_mmap writer = shared_at(PATH);
    after_set = clone_if_refused;
    say(filz_mmap_open(&writer));
    say(raw_child);
}

static void a_refused_writer_leaves_no_lock(void **state)
{
    (void)state;
    struct actor refused = begin_actor(be_refused);
    assert_int_equal(hear(&refused), FILZ_EINUSE);
    pid_t left = (pid_t)hear(&refused);
    end_actor(&refused);
    int reset = filz_mmap_reset(&heap);
    kill(left, SIGKILL);
    assert_int_equal(reset, 0);
}

static void reset_is_not_refused_while_another_writer_is_being_refused(void **state)
{
    (void)state;
    struct actor refused = begin_actor(open_writer_slowly);
    assert_int_equal(hear(&refused), 1000);
    int reset = filz_mmap_reset(&heap);
    assert_int_equal(go(&refused), FILZ_EINUSE);
    end_actor(&refused);
    assert_int_equal(reset, 0);
}

/* -- What an open costs -------------------------------------------------------------------------------------------- */

static void open_and_count_reads(void)
{
    filz_mmap reader = reader_of(PATH);
    reads = 0;
    say(filz_mmap_open(&reader));
    say((int64_t)reads);
    filz_mmap_close(&reader);
}

static void opening_beside_a_writer_takes_few_reads_whatever_the_heaps_size(void **state)
{
    (void)state;
    assert_non_null(in_thread(allocate_a_node, &heap));
    for (size_t i = 0; i < 40; i++)
        assert_non_null(filz_mmap_alloc(&heap, 300 * KIB, 1));
    assert_true(stats_of(&heap).chunks > 40);
    struct actor reader = begin_actor(open_and_count_reads);
    assert_int_equal(hear(&reader), 0);
    int64_t count = hear(&reader);
    end_actor(&reader);
    assert_true(count <= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SHARED_HEAP(a_writer_never_opens_a_file_that_was_just_replaced),
        WITH_SHARED_HEAP(a_writer_that_opens_just_when_the_last_one_closes_finds_its_blocks),
        WITH_SHARED_HEAP(a_reader_that_opens_just_when_the_writer_closes_finds_its_blocks),
        WITH_SHARED_HEAP(a_zeroed_block_is_zero_whatever_the_last_writer_stored_meanwhile),
        WITH_SHARED_HEAP(a_reader_sees_the_checkpoint_while_a_writer_is_being_refused),
        WITH_SHARED_HEAP(a_reader_may_open_while_a_shared_writer_opens),
        WITH_SHARED_HEAP(a_refused_writer_leaves_no_lock),
        WITH_SHARED_HEAP(reset_is_not_refused_while_another_writer_is_being_refused),
        WITH_SHARED_HEAP(opening_beside_a_writer_takes_few_reads_whatever_the_heaps_size),
    };
    return cmocka_run_group_tests_name("shared_races", tests, NULL, NULL);
}
