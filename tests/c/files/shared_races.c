/* A shared writer and others at the moments at which they could come into each other's way: opening, being refused,
 * being killed within a reset, without a descriptor. The linker leads some calls of the library's here, so that a
 * process can be stopped between any two of them. */
#include "shared.h"

#include "clones.h"

#include <sys/resource.h>

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

/* -- Processes that go on step by step ------------------------------------------------------------------------------
 */

struct actor {
    pid_t pid;
    int to[2], from[2];
};

static struct actor *self; /* in the child */

static void say(int64_t number)
{
    if (write(self->from[1], &number, sizeof(number)) != sizeof(number))
        _exit(99);
}

static void wait_for_go(void)
{
    char byte;
    if (read(self->to[0], &byte, 1) != 1)
        _exit(98);
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

static int act(void *body)
{
    filz_mmap_close(&heap);
    close(self->to[1]);
    (*(void (**)(void))body)();
    return 0;
}

static struct actor begin_actor(void (*body)(void))
{
    struct actor actor;
    assert_int_equal(pipe(actor.to) | pipe(actor.from), 0);
    self = &actor;
    actor.pid = begin_child(act, &body);
    close(actor.to[0]);
    close(actor.from[1]);
    return actor;
}

static int64_t hear(struct actor *actor)
{
    int64_t number = -9999;
    return read(actor->from[0], &number, sizeof(number)) == sizeof(number) ? number : -9999;
}

static int64_t go(struct actor *actor)
{
    assert_int_equal(write(actor->to[1], "g", 1), 1);
    return hear(actor);
}

static int end_actor(struct actor *actor)
{
    close(actor->to[1]);
    close(actor->from[0]);
    return end_child(actor->pid);
}

/* Opens to read; then walks each time it is told; -2: no root. Ends when it isn't told any more. */
static void read_heap(void)
{
    filz_mmap reader = reader_of(PATH);
    say(filz_mmap_open(&reader));
    for (char byte; read(self->to[0], &byte, 1) == 1;)
        say(filz_mmap_root(&reader) != NULL ? walk_list(&reader, filz_mmap_root(&reader), 0) : -2);
    filz_mmap_close(&reader);
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
    struct actor reader = begin_actor(read_heap);
    assert_int_equal(hear(&reader), 0);
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

static void a_writer_that_comes_just_when_the_last_one_ends_finds_its_blocks(void **state)
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

static void read_heap_slowly(void)
{
    after_set = say_and_wait_after;
    read_heap();
}

static void a_reader_that_comes_just_when_the_writer_ends_finds_its_blocks(void **state)
{
    (void)state;
    assert_int_equal(filz_mmap_sync(&heap), 0);
    struct actor reader = begin_actor(read_heap_slowly);
    assert_int_equal(hear(&reader), 1000);
    assert_non_null(filz_mmap_alloc(&heap, 8 * MIB, 1)); /* the file grows */
    add_nodes(SMALL);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(go(&reader), 0);
    int64_t walked = go(&reader);
    end_actor(&reader);
    assert_int_equal(walked, 2 * SMALL);
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

static void a_zeroed_block_is_zero_whatever_the_last_writer_did_meanwhile(void **state)
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

static void a_reader_sees_the_checkpoint_also_while_a_writer_is_being_refused(void **state)
{
    (void)state;
    assert_int_equal(filz_mmap_sync(&heap), 0);
    void *later = in_thread(allocate_a_node, &heap);
    assert_int_equal(filz_mmap_set_root(&heap, later), 0);
    size_t offset = (size_t)((uintptr_t)heap.heap->last - heap.heap->backing.base);
    assert_int_equal(filz_mmap_close(&heap), 0);
    write_at(PATH, offset, (char[4096]){0}, 4096); /* as a power cut does */
    struct actor first = begin_actor(read_heap);
    assert_int_equal(hear(&first), 0);
    assert_int_equal(go(&first), SMALL);
    struct actor writer = begin_actor(open_writer_and_wait_with_its_lock);
    assert_int_equal(hear(&writer), 1000);
    struct actor second = begin_actor(read_heap);
    int64_t opened = hear(&second), walked = opened == 0 ? go(&second) : SMALL;
    assert_int_equal(go(&writer), FILZ_EINUSE);
    end_actor(&writer);
    end_actor(&second);
    end_actor(&first);
    assert_int_equal(walked, SMALL);
}

/* -- A growth that fails ------------------------------------------------------------------------------------------- */

static char *last_byte;

static void read_last_byte(void)
{
    filz_mmap reader = reader_of(PATH);
    say(filz_mmap_open(&reader));
    wait_for_go();
    say(*(volatile char *)last_byte);
    wait_for_go();
    say(*(volatile char *)last_byte);
    filz_mmap_close(&reader);
}

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
    if (SANITIZED || is_emulated())
        SKIP("RLIMIT_AS isn't the program's alone here");
    assert_int_equal(filz_mmap_close(&heap), 0);
    heap.capacity = 256 * MIB;
    add_nodes(1);
    char *block = filz_mmap_alloc(&heap, 128 * MIB, 1);
    assert_non_null(block);
    last_byte = block + 128 * MIB - 1;
    *last_byte = 'l';
    struct actor reader = begin_actor(read_last_byte);
    assert_int_equal(hear(&reader), 0);
    assert_int_equal(go(&reader), 'l');
    assert_ptr_equal(filz_mmap_realloc(&heap, block, 128 * MIB, 1, 1), block);
    assert_int_equal(filz_mmap_close(&heap), 0);
    int64_t before = status_of(PATH).st_size;
    struct actor writer = begin_actor(grow_without_address_space);
    assert_int_equal(hear(&writer), 0);
    assert_int_equal(go(&writer), 0);
    assert_true(hear(&writer) >= before);
    end_actor(&writer);
    int64_t seen = go(&reader);
    int status = end_actor(&reader);
    assert_int_equal(status, 0);
    assert_int_equal(seen, 'l');
}

/* -- A reset that was killed --------------------------------------------------------------------------------------- */

static void after_a_reset_that_was_killed_a_reader_finds_no_root(void **state)
{
    (void)state;
    assert_int_equal(filz_mmap_close(&heap), 0);
    struct fz_header header = header_of(PATH);
    size_t cursor = (size_t)header.page_size; /* fz_heap_set_cursor in begin() */
    uint32_t clean = 0;
    write_at(PATH, offsetof(struct fz_header, cursor), &cursor, sizeof(cursor));
    write_at(PATH, offsetof(struct fz_header, clean), &clean, sizeof(clean));
    struct actor reader = begin_actor(read_heap);
    assert_int_equal(hear(&reader), 0);
    int64_t walked = go(&reader);
    end_actor(&reader);
    assert_int_equal(walked, -2);
}

/* -- What came after the reader ------------------------------------------------------------------------------------ */

static void realloc_what_came_later(void)
{
    filz_mmap reader = reader_of(PATH);
    say(filz_mmap_open(&reader));
    wait_for_go();
    const struct lists *lists = filz_mmap_root(&reader);
    struct node *newest = lists->newest[0];
    say(filz_mmap_realloc(&reader, newest, NODE, 8, 2 * NODE) == NULL ? errno : 0);
    filz_mmap_close(&reader);
}

static void realloc_of_a_newer_block_is_EROFS_for_a_reader(void **state)
{
    (void)state;
    struct actor reader = begin_actor(realloc_what_came_later);
    assert_int_equal(hear(&reader), 0);
    struct lists *lists = lists_of(&heap);
    lists->newest[0] = in_thread(allocate_a_node, &heap); /* in a chunk that the reader hasn't seen */
    int64_t error = go(&reader);
    int status = end_actor(&reader);
    assert_int_equal(status, 0);
    assert_int_equal(error, EROFS);
}

static int reset_without_descriptors(void *unused)
{
    (void)unused;
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    int error = filz_mmap_reset(&heap);
    if (error != 0)
        fprintf(stderr, "reset: %d\n", error);
    return error != 0;
}

static void a_forked_childs_own_heap_can_be_reset_without_descriptors(void **state)
{
    (void)state;
    filz_mmap plain = persistent_at("plain.filz");
    assert_non_null(lists_of(&plain));
    assert_int_equal(in_child(reset_without_descriptors, NULL), 0);
    filz_mmap_close(&plain);
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

static void opening_beside_a_writer_takes_the_same_for_any_size(void **state)
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

static void a_reader_is_let_in_also_while_a_shared_writer_opens(void **state)
{
    (void)state;
    assert_int_equal(filz_mmap_close(&heap), 0);
    struct actor writer = begin_actor(open_writer_and_wait_with_its_lock);
    assert_int_equal(hear(&writer), 1000);
    struct actor reader = begin_actor(read_heap);
    int64_t opened = hear(&reader);
    assert_int_equal(go(&writer), 0);
    end_actor(&writer);
    end_actor(&reader);
    assert_int_equal(opened, 0);
}

static void open_with_variable(void)
{
    setenv("FILZ_CAPACITY", "1M", 1);
    filz_mmap reader = reader_of(PATH);
    say(filz_mmap_open(&reader));
    filz_mmap_info info = {0};
    filz_mmap_stats(&reader, &info);
    say((int64_t)info.capacity);
    filz_mmap_close(&reader);
}

static void a_readers_capacity_of_0_is_FILZ_CAPACITY(void **state)
{
    (void)state;
    struct actor actor = begin_actor(open_with_variable);
    assert_int_equal(hear(&actor), 0);
    int64_t capacity = hear(&actor);
    end_actor(&actor);
    assert_int_equal(capacity, MIB);
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

static void reset_is_not_refused_because_of_a_writer_that_is(void **state)
{
    (void)state;
    struct actor refused = begin_actor(open_writer_slowly);
    assert_int_equal(hear(&refused), 1000);
    int reset = filz_mmap_reset(&heap);
    assert_int_equal(go(&refused), FILZ_EINUSE);
    end_actor(&refused);
    assert_int_equal(reset, 0);
}

/* -- Closed descriptors -------------------------------------------------------------------------------------------- */

static void a_writer_without_its_descriptor_can_be_reset(void **state)
{
    (void)state;
    close(descriptor_of(&heap));
    assert_int_equal(filz_mmap_reset(&heap), 0);
}

/* Its mapping keeps the first open file, and that its locks. */
static void a_writer_that_opened_its_file_again_can_be_reset(void **state)
{
    (void)state;
    close(descriptor_of(&heap));
    assert_non_null(filz_mmap_alloc(&heap, 4 * MIB, 1)); /* opens it again */
    assert_true(fcntl(descriptor_of(&heap), F_GETFD) >= 0);
    assert_int_equal(filz_mmap_reset(&heap), 0);
}

static void count_without_descriptors(void)
{
    filz_mmap reader = reader_of(PATH);
    say(filz_mmap_open(&reader));
    close(descriptor_of(&reader));
    wait_for_go();
    say((int64_t)stats_of(&reader).blocks);
    filz_mmap_close(&reader);
}

static void a_reader_without_its_descriptor_counts_as_before(void **state)
{
    (void)state;
    struct actor reader = begin_actor(count_without_descriptors);
    assert_int_equal(hear(&reader), 0);
    for (int i = 0; i < 10; i++)
        assert_non_null(in_thread(allocate_a_node, &heap));
    assert_non_null(filz_mmap_alloc(&heap, MIB, 1));
    int64_t blocks = go(&reader);
    end_actor(&reader);
    assert_int_equal(blocks, stats_of(&heap).blocks);
}

/* -- The unused end of the file ------------------------------------------------------------------------------------ */

static void close_gives_back_the_unused_end_if_nobody_reads(void **state)
{
    (void)state;
    assert_non_null(filz_mmap_alloc(&heap, 12 * MIB, 1));
    assert_int_equal(filz_mmap_reset(&heap), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_true(status_of(PATH).st_size < (off_t)(6 * MIB));
}

static void a_plain_heap_that_opened_its_file_again_can_be_published(void **state)
{
    (void)state;
    filz_mmap plain = persistent_at("plain.filz");
    assert_non_null(lists_of(&plain));
    close(descriptor_of(&plain));
    assert_non_null(filz_mmap_alloc(&plain, 3 * MIB, 1)); /* opens it again */
    assert_int_equal(filz_mmap_publish(&plain, "other.filz"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SHARED_HEAP(a_writer_never_opens_a_file_that_was_just_replaced),
        WITH_SHARED_HEAP(a_writer_that_comes_just_when_the_last_one_ends_finds_its_blocks),
        WITH_SHARED_HEAP(a_reader_that_comes_just_when_the_writer_ends_finds_its_blocks),
        WITH_SHARED_HEAP(a_zeroed_block_is_zero_whatever_the_last_writer_did_meanwhile),
        WITH_SHARED_HEAP(a_reader_sees_the_checkpoint_also_while_a_writer_is_being_refused),
        WITH_SHARED_HEAP(a_growth_that_fails_takes_no_memory_from_readers),
        WITH_SHARED_HEAP(after_a_reset_that_was_killed_a_reader_finds_no_root),
        WITH_SHARED_HEAP(realloc_of_a_newer_block_is_EROFS_for_a_reader),
        WITH_SHARED_HEAP(a_forked_childs_own_heap_can_be_reset_without_descriptors),
        WITH_SHARED_HEAP(opening_beside_a_writer_takes_the_same_for_any_size),
        WITH_SHARED_HEAP(a_reader_is_let_in_also_while_a_shared_writer_opens),
        WITH_SHARED_HEAP(a_readers_capacity_of_0_is_FILZ_CAPACITY),
        WITH_SHARED_HEAP(a_refused_writer_leaves_no_lock),
        WITH_SHARED_HEAP(reset_is_not_refused_because_of_a_writer_that_is),
        WITH_SHARED_HEAP(a_writer_without_its_descriptor_can_be_reset),
        WITH_SHARED_HEAP(a_writer_that_opened_its_file_again_can_be_reset),
        WITH_SHARED_HEAP(a_reader_without_its_descriptor_counts_as_before),
        WITH_SHARED_HEAP(close_gives_back_the_unused_end_if_nobody_reads),
        WITH_SHARED_HEAP(a_plain_heap_that_opened_its_file_again_can_be_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
