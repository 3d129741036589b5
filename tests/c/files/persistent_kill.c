/* A process with a persistent heap is killed at a random moment under 4 threads, or at any system call. The next
 * process opens the heap, and no node of a list is lost. */
#include "persistent.h"
#include "steps.h"

#define PATH "persistent.filz"

enum { CAPACITY = 128 << 20, TOO_LARGE = 48 << 20, MOST_SIZE = 200 };

/* What outlives a killed process, and isn't in the heap. */
struct shared {
    bool ready;                /* it has opened the heap, and its threads allocate */
    uint64_t published[LISTS]; /* how many nodes each list has at least */
    uint64_t bytes;            /* of all nodes, those that were being added too */
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

/* Each list is as long as was published, or a node longer. */
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
    size_t taken;       /* bytes that no later run can allocate, without chunks' headers */
    size_t open_chunks; /* those whose tail has room for any node */
    size_t torn;        /* size of the last chunk, if it was growing: its tail can't be told from its blocks */
};

/* Counts only tails of chunks from the offset `since` on. */
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

/* Bytes that were lost so far because a run was killed while the last chunk grew. */
static size_t given_up;

/* Of what a run took, only the tails of its 5 threads' active chunks are not allocated. Of what it allocated, only the
 * node that each thread was adding is in no list. */
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

/* Kills a process so long after its start, or after its threads began to allocate. Returns whether they had. */
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

/* -- At any system call -------------------------------------------------------------------------------------------- */

/* Opens the heap, extends all lists, so that the heap grows, and closes it. */
static int live_once(void *unused)
{
    (void)unused;
    EXPECT(find_lists() == 0);
    struct lists *lists = filz_mmap_root(&heap);
    for (int i = 0; i < 60; i++)
        shared->published[i % LISTS] = add_node(&heap, lists, i % LISTS, 20 * KIB);
    return filz_mmap_close(&heap);
}

/* Kills a process after so many steps. Returns -1, or its exit status if it ended before. */
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

/* Kills one process after each step, with a file that `runs` processes have closed. Returns how many were killed, or 0
 * if processes can't be traced. */
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

static void a_process_killed_at_any_system_call_leaves_a_heap_that_opens_and_grows(void **state)
{
    (void)state;
    size_t first = kill_at_each_call(0), second = kill_at_each_call(1);
    if (first == 0)
        SKIP("processes can't be traced here");
    print_message("%zu processes killed in the first run, %zu in the second\n", first, second);
}

static int enter(void **state)
{
    shared = share_with_children(sizeof(*shared));
    return shared == NULL || enter_fresh_directory(state) != 0;
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, enter, leave_fresh_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE(a_process_killed_at_any_moment_loses_no_node_of_a_list),
        ALONE(a_process_killed_at_any_system_call_leaves_a_heap_that_opens_and_grows),
    };
    return cmocka_run_group_tests_name("persistent_kill", tests, NULL, NULL);
}
