/* A shared writer with four threads is killed and started again, over and over, while readers read all that it has
 * published. */
#include "persistent.h"

#define PATH "shared.filz"

enum { CAPACITY = 128 << 20, READERS = 2, LIVES_OF_A_HEAP = 300, MOST_SIZE = 200, MOST_DELAY = 20000 };

/* What the processes tell each other, not in the heap. */
struct notes {
    bool ends;
    bool is_writing;           /* the writer's threads allocate */
    uint64_t published[LISTS]; /* how many nodes each list has at least */
    uint64_t opens, refused, walks, nodes;
};

static struct notes *notes;
static filz_mmap heap;

static uint64_t load(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_ACQUIRE);
}

static bool has_ended(void)
{
    return __atomic_load_n(&notes->ends, __ATOMIC_ACQUIRE);
}

/* -- The writer ---------------------------------------------------------------------------------------------------- */

/* It rests now and then, so that many lives fit into one heap. */
static void *extend_list(void *context)
{
    int list = *(int *)context;
    unsigned seed = (unsigned)getpid() + (unsigned)list;
    struct lists *lists = filz_mmap_root(&heap);
    for (;;) {
        size_t size = random_node_size(&seed, MOST_SIZE);
        uint64_t number = add_node(&heap, lists, list, size);
        if (number == 0)
            return context;
        __atomic_store_n(&notes->published[list], number, __ATOMIC_RELEASE);
        __atomic_store_n(&notes->is_writing, true, __ATOMIC_RELEASE);
        if (number % 16 == 0)
            usleep(500);
        if (number % 256 == 0 && list == 0)
            filz_mmap_sync(&heap);
    }
}

static int write_until_killed(void *unused)
{
    (void)unused;
    static pthread_t threads[LISTS];
    static int numbers[LISTS];
    heap = (filz_mmap){.path = PATH, .capacity = CAPACITY, .flags = FILZ_MMAP_SHARED, .tag = TAG};
    struct lists *lists = lists_of(&heap);
    EXPECT(lists);
    for (int list = 0; list < LISTS; list++) {
        EXPECT(newest_number(lists, list) - notes->published[list] <= 1);
        numbers[list] = list;
        EXPECT(pthread_create(&threads[list], NULL, extend_list, &numbers[list]) == 0);
    }
    for (int list = 0; list < LISTS; list++)
        pthread_join(threads[list], NULL);
    fprintf(stderr, "the heap is full\n");
    return 1;
}

/* -- A reader ------------------------------------------------------------------------------------------------------ */

/* Walks from the newest node down to the one that the last walk began with, and now and then to the first. */
static int follow_list(filz_mmap *reader, const struct lists *lists, int list, uint64_t *seen, bool to_the_end)
{
    uint64_t least = load(&notes->published[list]), number = newest_number(lists, list);
    EXPECT(number >= least && number >= *seen);
    const struct node *node = __atomic_load_n(&lists->newest[list], __ATOMIC_ACQUIRE);
    uint64_t newest = number = node != NULL ? node->number : 0;
    for (; number > (to_the_end ? 0 : *seen); number--, node = node->next)
        EXPECT(is_sound(reader, node, number));
    __atomic_fetch_add(&notes->nodes, newest - number, __ATOMIC_RELAXED);
    *seen = newest;
    return 0;
}

static int follow_lists(filz_mmap *reader, unsigned *seed)
{
    uint64_t seen[LISTS] = {0};
    filz_mmap_info info;
    size_t used = 0;
    const struct lists *lists = filz_mmap_root(reader);
    for (int walks = rand_r(seed) % 200; walks > 0 && !has_ended(); walks--) {
        if (lists == NULL) /* the writer was killed before it had any */
            lists = filz_mmap_root(reader);
        for (int list = 0; list < LISTS && lists != NULL; list++)
            EXPECT(follow_list(reader, lists, list, &seen[list], walks % 50 == 0) == 0);
        EXPECT(filz_mmap_stats(reader, &info) == 0 && info.used >= used && info.in_chunks <= info.committed);
        used = info.used;
        __atomic_fetch_add(&notes->walks, 1, __ATOMIC_RELAXED);
    }
    return 0;
}

static int read_until_told(void *context)
{
    unsigned seed = *(unsigned *)context;
    while (!has_ended()) {
        filz_mmap reader = reader_of(PATH);
        int error = filz_mmap_open(&reader);
        __atomic_fetch_add(error == 0 ? &notes->opens : &notes->refused, 1, __ATOMIC_RELAXED);
        if (error != 0) {
            EXPECT(error == ENOENT || error == FILZ_EINUSE || error == FILZ_ENOTHEAP);
            usleep(100);
            continue;
        }
        EXPECT(follow_lists(&reader, &seed) == 0);
        EXPECT(filz_mmap_close(&reader) == 0);
    }
    return 0;
}

/* -- Together ------------------------------------------------------------------------------------------------------ */

/* At any moment, or while its threads allocate. Returns how many of so many were killed before one ended by itself. */
static size_t kill_writers(size_t lives, unsigned *seed)
{
    size_t killed = 0;
    for (int status = 128 + SIGKILL; status == 128 + SIGKILL && killed < lives; killed += status == 128 + SIGKILL) {
        notes->is_writing = false;
        pid_t writer = begin_child(write_until_killed, NULL);
        while (killed % 4 != 0 && !__atomic_load_n(&notes->is_writing, __ATOMIC_ACQUIRE) && is_running(writer))
            usleep(100);
        usleep((useconds_t)rand_r(seed) % MOST_DELAY);
        kill(writer, SIGKILL);
        status = end_child(writer);
    }
    return killed;
}

/* In a heap of their own. */
static void kill_writers_under_readers(size_t lives, unsigned *seed)
{
    static unsigned seeds[READERS];
    pid_t readers[READERS];
    unlink(PATH);
    memset(notes->published, 0, sizeof(notes->published));
    notes->ends = false;
    for (size_t i = 0; i < READERS; i++) {
        seeds[i] = (unsigned)rand_r(seed);
        readers[i] = begin_child(read_until_told, &seeds[i]);
    }
    size_t killed = kill_writers(lives, seed);
    __atomic_store_n(&notes->ends, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(end_child(readers[i]), 0);
    assert_int_equal(killed, lives);
}

static void readers_go_on_whatever_happens_to_the_writer(void **state)
{
    (void)state;
    NEED_LINUX("lock for a writer beside readers");
    size_t lives = rounds_of(6000), heaps = 0;
    unsigned seed = 1;
    notes = share_with_children(sizeof(*notes));
    assert_non_null(notes);
    for (size_t left = lives; left > 0; heaps++) {
        size_t now = left < LIVES_OF_A_HEAP ? left : LIVES_OF_A_HEAP;
        kill_writers_under_readers(now, &seed);
        left -= now;
    }
    assert_true(notes->opens > 0 && notes->nodes > 0);
    print_message("%zu writers with 4 threads killed, in %zu heaps, under %d readers: opened %llu times, %llu times "
                  "refused, %llu walks over %llu nodes, 0 wrong\n",
                  lives, heaps, READERS, (unsigned long long)notes->opens, (unsigned long long)notes->refused,
                  (unsigned long long)notes->walks, (unsigned long long)notes->nodes);
    munmap(notes, sizeof(*notes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(readers_go_on_whatever_happens_to_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
