/* A process with a persistent heap is killed: the next one goes on in the same file, and whatever was in a list before
 * is in it then. */
#include "persistent.h"
#include "steps.h"

#define PATH "persistent.filz"

enum { CAPACITY = 128 << 20, TOO_LARGE = 48 << 20, MOST_SIZE = 200 };

struct block {
    char *start;
    size_t size;
};

/* What lives on when the process is killed, and isn't in the heap. */
struct shared {
    bool ready;                /* it found what was left, and its threads allocate */
    uint64_t published[LISTS]; /* how many nodes each list has at least */
    uint64_t bytes;            /* of all the nodes that were begun */
    size_t block_count;        /* the blocks that are there, whole */
    struct block blocks[100];
};

static struct shared *shared;

/* -- A process that lives until it is killed ----------------------------------------------------------------------- */

static filz_mmap heap;

static void *extend_list(void *context)
{
    int list = *(int *)context;
    unsigned seed = (unsigned)getpid() + (unsigned)list;
    struct lists *lists = filz_mmap_root(&heap);
    for (;;) {
        size_t size = random_node_size(&seed, MOST_SIZE);
        __atomic_fetch_add(&shared->bytes, size, __ATOMIC_RELAXED);
        uint64_t number = add_node(&heap, lists, list, size);
        if (number == 0)
            return context;
        __atomic_store_n(&shared->published[list], number, __ATOMIC_RELEASE);
        __atomic_store_n(&shared->ready, true, __ATOMIC_RELEASE);
    }
}

/* The lists are as long as was published, or a node longer. */
static int find_lists(void)
{
    heap = persistent_at(PATH);
    heap.capacity = CAPACITY;
    struct lists *lists = lists_of(&heap);
    EXPECT(lists);
    for (int list = 0; list < LISTS; list++) {
        int64_t count = walk_list(&heap, lists, list);
        EXPECT(count >= 0);
        EXPECT((uint64_t)count - shared->published[list] <= 1);
        shared->published[list] = (uint64_t)count;
    }
    return 0;
}

static int live_until_killed(void *unused)
{
    (void)unused;
    static pthread_t threads[LISTS];
    static int numbers[LISTS];
    EXPECT(find_lists() == 0);
    for (int list = 0; list < LISTS; list++) {
        numbers[list] = list;
        EXPECT(pthread_create(&threads[list], NULL, extend_list, &numbers[list]) == 0);
    }
    for (int list = 0; list < LISTS; list++)
        pthread_join(threads[list], NULL);
    pause(); /* the heap is full */
    return 1;
}

/* -- What it leaves ------------------------------------------------------------------------------------------------ */

struct account {
    size_t cursor;      /* of the heap */
    size_t taken;       /* bytes that no run can have any more, without chunks' headers */
    size_t open_chunks; /* with room for any node */
    size_t torn;        /* size of the last chunk, if it was just growing: its tail can't be told from its blocks */
};

/* How the chunks stand; those before the offset `since` aren't looked at for room. */
static struct account account_of(size_t since)
{
    struct fz_header header = header_of(PATH);
    struct account account = {.cursor = header.cursor};
    for (size_t offset = (size_t)header.page_size; offset < header.cursor;) {
        struct fz_chunk chunk;
        read_at(PATH, offset, &chunk, sizeof(chunk));
        size_t size = (size_t)chunk.size, left = fz_chunk_left(&chunk);
        if (size > header.cursor - offset)
            account.torn = size = left = header.cursor - offset;
        account.taken += size - left - (left != size ? sizeof(chunk) : 0);
        account.open_chunks += offset >= since && left >= MOST_SIZE;
        offset += size;
    }
    return account;
}

/* How much of a heap was given up by the runs so far that were killed while its last chunk grew. */
static size_t given_up;

/* Of what a run took, it has allocated all but the tails of the chunks that its 5 threads had open; and of that, all
 * but the node that each was just adding is in a list. */
static struct account assert_little_is_lost(struct account before)
{
    struct account now = account_of(before.cursor);
    given_up += now.torn;
    assert_true(now.open_chunks <= LISTS + 1);
    assert_true(now.taken <= shared->bytes + given_up + 4 * KIB);
    return now;
}

static struct account begin_anew(void)
{
    unlink(PATH);
    memset(shared, 0, sizeof(*shared));
    given_up = 0;
    return (struct account){.cursor = 0};
}

static bool is_set_up_at(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && (size_t)status.st_size > sizeof(struct fz_header) && header_of(path).cursor != 0;
}

/* At any moment from its start on, or while its threads allocate. Returns whether they did. */
static bool kill_after(useconds_t delay, bool from_start)
{
    shared->ready = false;
    pid_t child = begin_child(live_until_killed, NULL);
    while (!from_start && !__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) && is_running(child))
        usleep(100);
    usleep(delay);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(end_child(child), 128 + SIGKILL);
    return shared->ready;
}

static uint64_t nodes_published(void)
{
    uint64_t nodes = 0;
    for (int list = 0; list < LISTS; list++)
        nodes += shared->published[list];
    return nodes;
}

static void a_process_killed_at_any_moment_loses_no_node_of_a_list(void **state)
{
    (void)state;
    size_t rounds = rounds_of(2000) < 1000 ? rounds_of(2000) : 1000, allocating = 0, files = 1;
    uint64_t nodes = 0;
    unsigned seed = 1;
    struct account account = begin_anew();
    for (size_t i = 0; i < rounds; i++) {
        allocating += kill_after((useconds_t)rand_r(&seed) % 8000, i % 4 == 0);
        if (is_set_up_at(PATH))
            account = assert_little_is_lost(account);
        if (account.cursor > TOO_LARGE || i + 1 == rounds) {
            assert_int_equal(find_lists(), 0);
            assert_int_equal(filz_mmap_close(&heap), 0);
            nodes += nodes_published();
            files += i + 1 < rounds;
            account = begin_anew();
        }
    }
    print_message("%zu processes killed, %zu of them under 4 allocating threads, in %zu files one after the other: "
                  "%llu nodes, 0 lost\n",
                  rounds, allocating, files, (unsigned long long)nodes);
}

/* -- Between any two calls to the system --------------------------------------------------------------------------- */

/* Opens, extends all lists, grows, closes. */
static int live_once(void *unused)
{
    (void)unused;
    EXPECT(find_lists() == 0);
    struct lists *lists = filz_mmap_root(&heap);
    for (int i = 0; i < 60; i++)
        shared->published[i % LISTS] = add_node(&heap, lists, i % LISTS, 20 * KIB);
    return filz_mmap_close(&heap);
}

/* Lets a process live for so many steps. Returns -1 if it was killed then, its exit status if it ended before. */
static int kill_after_steps(size_t steps)
{
    int status = -1;
    pid_t child = begin_steps(live_once, NULL);
    if (child < 0)
        return SKIPPED;
    for (size_t i = 0; i < steps && status == -1; i++)
        status = go_a_step(child, STEP_CALL);
    if (status == -1) {
        kill(child, SIGKILL);
        end_child(child);
    }
    return status;
}

/* Kills one process after each step, in a file in which `runs` have ended before. Returns how many, 0 if they can't be
 * traced. */
static size_t kill_at_each_call(int runs)
{
    size_t kills = 0, stride = rounds_of(1000) < 100 ? 100 / rounds_of(1000) : 1;
    for (int status = -1; status == -1; kills++) {
        begin_anew();
        for (int i = 0; i < runs; i++)
            assert_int_equal(in_child(live_once, NULL), 0);
        status = kill_after_steps(kills * stride + 1);
        if (status == SKIPPED)
            return 0;
        assert_true(status == -1 || status == 0);
        assert_int_equal(live_once(NULL), 0);
    }
    return kills;
}

static void a_process_killed_at_any_call_leaves_a_heap_that_goes_on(void **state)
{
    (void)state;
    size_t first = kill_at_each_call(0), second = kill_at_each_call(1);
    if (first == 0)
        SKIP("processes can't be traced here");
    print_message("%zu processes killed in the first run, %zu in the second\n", first, second);
}

/* -- Between any two instructions ---------------------------------------------------------------------------------- */

/* Writing all of it would be an instruction for each few bytes. The marks come first. */
static void set_size(struct block *block, size_t size)
{
    block->start[0] = block->start[size - 1] = (char)(block - shared->blocks);
    __atomic_store_n(&block->size, size, __ATOMIC_RELEASE);
}

static bool is_marked(const struct block *block)
{
    char mark = (char)(block - shared->blocks);
    return block->start[0] == mark && block->start[block->size - 1] == mark;
}

static int add_block(size_t size)
{
    struct block *block = &shared->blocks[shared->block_count];
    block->start = filz_mmap_alloc(&heap, size, 1);
    EXPECT(block->start);
    set_size(block, size);
    __atomic_store_n(&shared->block_count, shared->block_count + 1, __ATOMIC_RELEASE);
    return 0;
}

/* What is left of the block is there meanwhile. */
static int resize_newest(size_t size)
{
    struct block *block = &shared->blocks[shared->block_count - 1];
    size_t before = block->size;
    if (size < before)
        set_size(block, size);
    EXPECT(filz_mmap_realloc(&heap, block->start, before, 1, size) == block->start);
    set_size(block, size);
    return 0;
}

static int reset_heap(void)
{
    __atomic_store_n(&shared->block_count, 0, __ATOMIC_RELEASE);
    return filz_mmap_reset(&heap);
}

static void *add_small_block(void *unused)
{
    (void)unused;
    return add_block(100) != 0 ? shared : NULL;
}

/* Chunks of two threads, so that a large block gets one of its own. */
static int add_blocks_of_all_kinds(void)
{
    pthread_t thread;
    void *failed;
    for (size_t i = 0; i < 5; i++)
        EXPECT(add_block(5 * KIB) == 0);
    EXPECT(add_block(3 * KIB) == 0 && resize_newest(400 * KIB) == 0 && resize_newest(100) == 0);
    EXPECT(pthread_create(&thread, NULL, add_small_block, NULL) == 0);
    EXPECT(pthread_join(thread, &failed) == 0 && failed == NULL);
    EXPECT(add_block(300 * KIB) == 0 && resize_newest(310 * KIB) == 0);
    for (size_t i = 0; i < 3; i++)
        EXPECT(add_block(20 * KIB) == 0);
    return 0;
}

static int do_all_that_changes_chunks(void *unused)
{
    (void)unused;
    heap = persistent_at(PATH);
    for (int run = 0; run < 2; run++) {
        EXPECT(filz_mmap_open(&heap) == 0);
        EXPECT(add_blocks_of_all_kinds() == 0);
        EXPECT(filz_mmap_close(&heap) == 0 && filz_mmap_open(&heap) == 0);
        EXPECT(add_block(100) == 0 && add_block(30 * KIB) == 0);
        EXPECT(reset_heap() == 0);
        EXPECT(add_block(100) == 0);
        EXPECT(filz_mmap_close(&heap) == 0);
    }
    return 0;
}

static int do_nothing(void *unused)
{
    (void)unused;
    return 0;
}

/* What opening a heap again looks at. */
struct look {
    off_t size;
    struct fz_header header;
    struct fz_chunk chunks[2];
};

static struct look look_at_file(void)
{
    struct look look;
    struct stat status = {.st_size = 0};
    memset(&look, 0, sizeof(look));
    int fd = open(PATH, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0 || pread(fd, &look.header, sizeof(look.header), 0) <= 0)
        look.header.cursor = 0;
    size_t last = look.header.last != 0 ? (size_t)look.header.last : (size_t)look.header.page_size;
    if (fd >= 0 && pread(fd, &look.chunks[0], sizeof(look.chunks[0]), (off_t)last) > 0 &&
        pread(fd, &look.chunks[1], sizeof(look.chunks[1]), (off_t)(last + look.chunks[0].size)) <= 0)
        memset(&look.chunks[1], 0, sizeof(look.chunks[1]));
    look.size = status.st_size;
    close(fd);
    return look;
}

static int blocks_are_whole(const filz_mmap *copy)
{
    for (size_t i = 0; i < shared->block_count; i++) {
        const struct block *block = &shared->blocks[i];
        EXPECT(filz_mmap_owns(copy, block->start));
        EXPECT(is_marked(block));
    }
    return 0;
}

/* What a run finds that comes after the process was killed here. */
static int copy_goes_on(void)
{
    static const size_t sizes[] = {100, 5 * KIB, 20 * KIB, 300 * KIB};
    filz_mmap copy = persistent_at("copy.filz");
    EXPECT(filz_mmap_open(&copy) == 0);
    EXPECT(blocks_are_whole(&copy) == 0);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char *block = filz_mmap_alloc_zeroed(&copy, sizes[i], 1);
        EXPECT(block && is_filled(block, 0, sizes[i]));
        memset(block, 0xEE, sizes[i]);
    }
    EXPECT(blocks_are_whole(&copy) == 0);
    EXPECT(filz_mmap_close(&copy) == 0);
    return can_be_walked("copy.filz");
}

static int go_on_in_copy(void)
{
    if (!exists(PATH))
        return 0;
    struct snapshot now = snapshot_of(PATH);
    write_file("copy.filz", "");
    write_at("copy.filz", 0, now.bytes, (size_t)now.status.st_size);
    free(now.bytes);
    return copy_goes_on();
}

/* How many steps `body` takes, and how many different files there are in between; each of them must go on. */
struct walk {
    size_t steps, files, wrong;
    int status;
};

static struct walk walk_through(int (*body)(void *), size_t most)
{
    struct walk walk = {.status = -1};
    struct look before, now;
    memset(&before, 0, sizeof(before));
    pid_t child = begin_steps(body, NULL);
    while (child > 0 && walk.status == -1 && walk.steps < most && walk.wrong < 3) {
        walk.status = go_a_step(child, STEP_INSTRUCTION);
        walk.steps++;
        now = look_at_file();
        if (memcmp(&now, &before, sizeof(now)) == 0)
            continue;
        walk.files++;
        walk.wrong += go_on_in_copy() != 0;
        before = now;
    }
    if (child > 0 && walk.status == -1) {
        kill(child, SIGKILL);
        end_child(child);
    }
    return walk;
}

static void a_process_killed_at_any_instruction_leaves_a_heap_that_goes_on(void **state)
{
    (void)state;
    struct walk least = walk_through(do_nothing, 10000);
    if (SANITIZED || least.status != 0)
        SKIP("processes can't be traced here, or one instruction at a time would take long");
    struct walk walk = walk_through(do_all_that_changes_chunks, 1000000);
    assert_int_equal(walk.wrong, 0);
    assert_int_equal(walk.status, 0);
    print_message("%zu instructions; after %zu of them the file was another, and each went on\n", walk.steps,
                  walk.files);
}

static int enter(void **state)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED || enter_fresh_directory(state) != 0;
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, enter, leave_fresh_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE(a_process_killed_at_any_moment_loses_no_node_of_a_list),
        ALONE(a_process_killed_at_any_call_leaves_a_heap_that_goes_on),
        ALONE(a_process_killed_at_any_instruction_leaves_a_heap_that_goes_on),
    };
    return cmocka_run_group_tests_name("persistent_kill", tests, NULL, NULL);
}
