/* fork(2) while threads allocate and write. What holds is shown by checksums that are kept outside the heap: of each
 * block that was whole when the fork began, in the child and in its parent, whatever the other, the child's own child
 * and the parent's threads do meanwhile. */
#include "forks.h"
#include "heap_files.h"

/* -- Threads that allocate and write ------------------------------------------------------------------------------- */

enum { MOST_THREADS = 64, KEPT = 32 };

struct kept {
    uint64_t *words;
    size_t count;
    uint64_t sum;
};

struct worker {
    struct family *family;
    pthread_t thread;
    uint64_t random;
    struct kept kept[KEPT];
    size_t whole;     /* how many of these are; atomic */
    size_t known;     /* how many were when the last fork began */
    size_t allocated; /* blocks, as the heap should count them */
    int wrong;
};

struct family {
    enum way way;
    size_t threads;
    filz_mmap heap;
    struct worker workers[MOST_THREADS + 1]; /* the first is the thread that forks */
    int descriptors;
    int ending; /* of the next child */
    int stop;   /* atomic */
};

static uint64_t random_number(struct worker *worker)
{
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return worker->random;
}

static uint64_t add_to_sum(uint64_t sum, uint64_t word)
{
    return (sum ^ word) * 0x100000001B3;
}

static uint64_t sum_of(const uint64_t *words, size_t count)
{
    uint64_t sum = count;
    for (size_t i = 0; i < count; i++)
        sum = add_to_sum(sum, words[i]);
    return sum;
}

/* Returns the checksum of what it writes. */
static uint64_t write_at_random(struct worker *worker, uint64_t *words, size_t count)
{
    uint64_t sum = count;
    for (size_t i = 0; i < count; i++) {
        words[i] = random_number(worker);
        sum = add_to_sum(sum, words[i]);
    }
    return sum;
}

/* NULL is right only while files may not grow. */
static int refused(const struct worker *worker)
{
    EXPECT(errno == ENOMEM && worker->family->way == WITHOUT_ROOM);
    return 0;
}

static int keep_another(struct worker *worker)
{
    if (worker->whole == KEPT)
        return 0;
    struct kept *kept = &worker->kept[worker->whole];
    kept->count = 8 + (size_t)(random_number(worker) % 120);
    kept->words = filz_mmap_alloc(&worker->family->heap, 8 * kept->count, 8);
    if (kept->words == NULL)
        return refused(worker);
    kept->sum = write_at_random(worker, kept->words, kept->count);
    worker->allocated++;
    __atomic_store_n(&worker->whole, worker->whole + 1, __ATOMIC_RELEASE);
    return 0;
}

/* A block is written, grown, found as it was, and given back but for its first word, so that the heap stays small. */
static int use_for_a_while(struct worker *worker)
{
    enum { WORDS = 256, MORE = 600 };
    filz_mmap *heap = &worker->family->heap;
    uint64_t *block = filz_mmap_alloc(heap, 8 * WORDS, 8);
    if (block == NULL)
        return refused(worker);
    worker->allocated++;
    uint64_t sum = write_at_random(worker, block, WORDS);
    uint64_t *grown = filz_mmap_realloc(heap, block, 8 * WORDS, 8, 8 * MORE);
    if (grown == NULL)
        return refused(worker);
    worker->allocated += grown != block;
    EXPECT(sum_of(grown, WORDS) == sum);
    EXPECT(filz_mmap_realloc(heap, grown, 8 * MORE, 8, 8) == grown);
    return 0;
}

static int work(struct worker *worker)
{
    filz_mmap_info info;
    return keep_another(worker) || use_for_a_while(worker) || filz_mmap_stats(&worker->family->heap, &info);
}

static void *work_until_told(void *context)
{
    struct worker *worker = context;
    while (worker->wrong == 0 && !__atomic_load_n(&worker->family->stop, __ATOMIC_RELAXED)) {
        for (int i = 0; i < 5 && worker->wrong == 0; i++)
            worker->wrong = work(worker);
        usleep((useconds_t)(200 * worker->family->threads)); /* the processors are shared with parent and children */
    }
    return NULL;
}

/* -- A child, and a child of its own ------------------------------------------------------------------------------- */

static int known_are_whole(const struct family *family)
{
    for (size_t i = 0; i <= family->threads; i++) {
        const struct worker *worker = &family->workers[i];
        for (size_t j = 0; j < worker->known; j++)
            EXPECT(sum_of(worker->kept[j].words, worker->kept[j].count) == worker->kept[j].sum);
    }
    return 0;
}

/* All blocks that the child inherited; those that became whole as the fork was under way may hold anything. */
static void overwrite_all(struct family *family, int byte)
{
    for (size_t i = 0; i <= family->threads; i++)
        for (size_t j = 0; j < family->workers[i].whole; j++)
            memset(family->workers[i].kept[j].words, byte, 8 * family->workers[i].kept[j].count);
}

static int all_are(const struct family *family, int byte)
{
    for (size_t i = 0; i <= family->threads; i++)
        for (size_t j = 0; j < family->workers[i].whole; j++)
            EXPECT(is_filled(family->workers[i].kept[j].words, byte, 8 * family->workers[i].kept[j].count));
    return 0;
}

/* In a heap that is a copy nobody else allocates; a private one may show what the parent's threads do. */
static int own_blocks_count(struct family *family)
{
    filz_mmap_info before, after;
    EXPECT(filz_mmap_stats(&family->heap, &before) == 0);
    EXPECT(allocate_and_write(&family->heap) == 0);
    EXPECT(filz_mmap_stats(&family->heap, &after) == 0);
    EXPECT(after.blocks == before.blocks + 50 || family->way != BY_COPY);
    return 0;
}

static int take_over(struct family *family, int byte)
{
    EXPECT(heap_came(family->way, &family->heap) == 0);
    overwrite_all(family, byte);
    EXPECT(own_blocks_count(family) == 0);
    return all_are(family, byte);
}

static int take_over_from_child(struct family *family)
{
    EXPECT(all_are(family, 'c') == 0);
    return take_over(family, 'g');
}

static int live_as_a_grandchild(void *family)
{
    _exit(take_over_from_child(family));
}

static int live_as_a_child(struct family *family)
{
    EXPECT(known_are_whole(family) == 0);
    EXPECT(open_descriptors() <= family->descriptors);
    EXPECT(take_over(family, 'c') == 0);
    EXPECT(in_child(live_as_a_grandchild, family) == 0);
    EXPECT(all_are(family, 'c') == 0);
    return allocate_and_write(&family->heap);
}

enum { BY_EXIT, BY__EXIT, BY_SIGNAL, ENDINGS };

static int live_and_die(void *context)
{
    struct family *family = context;
    int status = live_as_a_child(family);
    if (status == 0 && family->ending == BY_SIGNAL)
        kill(getpid(), SIGKILL);
    bool hangs_at_exit = SANITIZED; /* LeakSanitizer looks for the parent's threads */
    if (status != 0 || family->ending == BY__EXIT || hangs_at_exit)
        _exit(status);
    return 0;
}

/* -- The parent ---------------------------------------------------------------------------------------------------- */

static int fork_once(struct family *family)
{
    for (size_t i = 0; i <= family->threads; i++)
        family->workers[i].known = __atomic_load_n(&family->workers[i].whole, __ATOMIC_ACQUIRE);
    pid_t child = begin_child_with(family->way, live_and_die, family);
    int failed = work(&family->workers[0]);
    EXPECT(end_child(child) == (family->ending == BY_SIGNAL ? 128 + SIGKILL : 0));
    EXPECT(failed == 0);
    return known_are_whole(family);
}

static void begin_family(struct family *family)
{
    assert_int_equal(filz_mmap_open(&family->heap), 0);
    family->descriptors = open_descriptors();
    for (size_t i = 0; i <= family->threads; i++)
        family->workers[i] = (struct worker){.family = family, .random = i + 1};
    for (size_t i = 1; i <= family->threads; i++)
        assert_int_equal(pthread_create(&family->workers[i].thread, NULL, work_until_told, &family->workers[i]), 0);
    assert_int_equal(keep_another(&family->workers[0]), 0);
}

static void end_family(struct family *family)
{
    size_t allocated = family->workers[0].allocated;
    __atomic_store_n(&family->stop, 1, __ATOMIC_RELAXED);
    for (size_t i = 1; i <= family->threads; i++) {
        struct worker *worker = &family->workers[i];
        assert_int_equal(pthread_join(worker->thread, NULL), 0);
        assert_int_equal(worker->wrong, 0);
        allocated += worker->allocated;
        worker->known = worker->whole;
    }
    family->workers[0].known = family->workers[0].whole;
    assert_int_equal(known_are_whole(family), 0);
    filz_mmap_info info;
    assert_int_equal(filz_mmap_stats(&family->heap, &info), 0);
    assert_int_equal(info.blocks, allocated);
    assert_int_equal(filz_mmap_close(&family->heap), 0);
}

/* Whether any file in the test's directory, with or without a name, is mapped. */
static bool is_anything_mapped(void)
{
    char line[4096];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL)
        found |= strstr(line, fresh_directory) != NULL;
    fclose(maps);
    return found;
}

static void live_as_a_family(enum way way, size_t threads, const char *path, size_t forks)
{
    static struct family family;
    int descriptors = open_descriptors(), failed = 0;
    family = (struct family){.way = way, .threads = threads, .heap = {.path = path, .capacity = 16 * MIB}};
    begin_family(&family);
    for (size_t i = 0; i < forks && failed == 0; i++) {
        family.ending = (int)(i % ENDINGS);
        failed = fork_once(&family);
    }
    end_family(&family);
    assert_int_equal(failed, 0);
    assert_int_equal(open_descriptors(), descriptors);
    assert_false(is_anything_mapped());
    assert_int_equal(entries_in("."), path != NULL);
}

static const char *temporary_before; /* $TMPDIR */

/* A file that is made without a name, and left, would be there too. */
static int enter_directory_for_all(void **state)
{
    return enter_fresh_directory(state) || setenv("TMPDIR", fresh_directory, 1);
}

static int leave_directory_for_all(void **state)
{
    int failed = temporary_before ? setenv("TMPDIR", temporary_before, 1) : unsetenv("TMPDIR");
    return leave_fresh_directory(state) || failed;
}

#define IN_ONE_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory_for_all, leave_directory_for_all)

/* Of one family after another: in each way, with few threads and with many, named and unnamed. */
static void fork_families(const enum way *ways, size_t way_count, size_t rounds)
{
    static const size_t threads[] = {1, 8, MOST_THREADS};
    enum { FORKS = 18 };
    for (size_t done = 0, turn = 0; done < rounds; turn++) {
        size_t forks = rounds - done < FORKS ? rounds - done : FORKS;
        const char *path = turn / 3 % 2 ? NULL : "heap.filz";
        live_as_a_family(ways[turn / 6 % way_count], threads[turn % 3], path, forks);
        unlink("heap.filz");
        done += forks;
    }
    print_message("%zu forks under 1, 8 and %d threads, and as many by their children\n", rounds, MOST_THREADS);
}

static void children_of_threads_have_heaps_of_their_own(void **state)
{
    (void)state;
    if (SANITIZED_FOR_THREADS)
        SKIP("the copy reads what other threads write, which ThreadSanitizer calls a race");
    static const enum way ways[] = {BY_COPY};
    fork_families(ways, COUNT(ways), rounds_of(10000));
}

static void so_have_they_where_no_copy_is_made(void **state)
{
    (void)state;
    static const enum way ways[] = {PRIVATELY, WITHOUT_ROOM};
    signal(SIGXFSZ, SIG_DFL);
    fork_families(ways, COUNT(ways), rounds_of(1000));
}

/* -- Threads that fork --------------------------------------------------------------------------------------------- */

/* Returns how often the cancel state was another one after the fork. */
static void *fork_with_cancel_state(void *state)
{
    uintptr_t wrong = 0;
    int mine = *(int *)state, found;
    pthread_setcancelstate(mine, &found);
    for (size_t i = rounds_of(2000); i > 0; i--) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        end_child(child);
        pthread_setcancelstate(mine, &found);
        wrong += found != mine;
    }
    return (void *)wrong;
}

static void threads_that_fork_keep_their_cancel_states(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    assert_non_null(filz_mmap_alloc(&heap, 1, 1));
    int states[2] = {PTHREAD_CANCEL_ENABLE, PTHREAD_CANCEL_DISABLE};
    pthread_t threads[2];
    void *wrong;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fork_with_cancel_state, &states[i]), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    print_message("%zu forks by each of two threads\n", rounds_of(2000));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(void)
{
    temporary_before = getenv("TMPDIR");
    const struct CMUnitTest tests[] = {
        IN_ONE_DIRECTORY(children_of_threads_have_heaps_of_their_own),
        IN_ONE_DIRECTORY(so_have_they_where_no_copy_is_made),
        IN_FRESH_DIRECTORY(threads_that_fork_keep_their_cancel_states),
    };
    return cmocka_run_group_tests_name("fork_threads", tests, NULL, NULL);
}
