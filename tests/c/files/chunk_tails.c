/* The tails of chunks: the next run of a persistent heap allocates from those that the last run left, and from each of
 * them once. */
#include "threads.h"

#define PATH "tails.filz"

enum { THREADS = 8 };

/* Its capacity is what a hundred runs would take without tails, and no more, because valgrind looks through all of it.
 */
static filz_mmap persistent_heap(void)
{
    return (filz_mmap){.path = PATH, .capacity = 12 * MIB, .flags = FILZ_MMAP_PERSISTENT, .tag = 1};
}

/* -- A run of the program that owns the heap ----------------------------------------------------------------------- */

/* How a run ends. The threads have ended before, or wait until the process is gone. */
enum ending {
    CLOSES,
    EXITS,
    RETURNS_FROM_MAIN,
    CLOSES_WHILE_THREADS_WAIT,
    EXITS_WHILE_THREADS_WAIT,
    IS_KILLED,
};

static bool threads_wait(enum ending ending)
{
    return ending >= CLOSES_WHILE_THREADS_WAIT;
}

/* Each thread takes so many blocks, of 1 to MOST bytes, and fills them with its own byte. */
enum { BLOCKS = 4, MOST = 64 };

struct taker {
    filz_mmap *heap;
    pthread_barrier_t *all_have_taken;
    size_t size; /* of one block; 0: it takes BLOCKS blocks */
    bool waits;  /* for the end of the process */
    unsigned char byte;
    unsigned char *blocks[BLOCKS];
    size_t sizes[BLOCKS];
};

static void take_blocks(struct taker *taker)
{
    size_t count = taker->size != 0 ? 1 : BLOCKS;
    for (size_t i = 0; i < count; i++) {
        size_t size = taker->size != 0 ? taker->size : (taker->byte * 7u + i * 13) % MOST + 1;
        taker->blocks[i] = filz_mmap_alloc(taker->heap, size, 1);
        taker->sizes[i] = size;
        if (taker->blocks[i] != NULL)
            memset(taker->blocks[i], taker->byte, size);
    }
}

static void *take_and_meet(void *context)
{
    struct taker *taker = context;
    bool waits = taker->waits;
    take_blocks(taker);
    pthread_barrier_wait(taker->all_have_taken);
    while (waits)
        pause();
    return NULL;
}

/* THREADS threads that are alive at once take what `takers` say. */
static int take_in_threads(struct taker takers[THREADS], filz_mmap *heap, enum ending ending)
{
    static pthread_barrier_t all_have_taken;
    pthread_t threads[THREADS];
    EXPECT(pthread_barrier_init(&all_have_taken, NULL, THREADS + 1) == 0);
    for (size_t i = 0; i < THREADS; i++) {
        takers[i].heap = heap;
        takers[i].all_have_taken = &all_have_taken;
        takers[i].waits = threads_wait(ending);
        EXPECT(pthread_create(&threads[i], NULL, take_and_meet, &takers[i]) == 0);
    }
    pthread_barrier_wait(&all_have_taken);
    for (size_t i = 0; i < THREADS && !threads_wait(ending); i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    return 0;
}

static int end_run(filz_mmap *heap, enum ending ending)
{
    if (ending == IS_KILLED)
        kill(getpid(), SIGKILL);
    return ending == CLOSES || ending == CLOSES_WHILE_THREADS_WAIT ? filz_mmap_close(heap) : 0;
}

/* A run in which each thread takes 16 bytes. */
static int take_16_bytes_each(enum ending ending)
{
    static filz_mmap heap;
    static struct taker takers[THREADS];
    heap = persistent_heap();
    for (size_t i = 0; i < THREADS; i++)
        takers[i] = (struct taker){.size = 16, .byte = (unsigned char)(i + 1)};
    EXPECT(filz_mmap_open(&heap) == 0);
    EXPECT(take_in_threads(takers, &heap, ending) == 0);
    for (size_t i = 0; i < THREADS; i++)
        EXPECT(takers[i].blocks[0] && is_filled(takers[i].blocks[0], (int)i + 1, 16));
    return end_run(&heap, ending);
}

static int run_in_fork(void *ending)
{
    return take_16_bytes_each(*(enum ending *)ending);
}

static int run_that_ends(enum ending ending)
{
    return ending == RETURNS_FROM_MAIN ? in_child(start_this_program, "run") : in_child(run_in_fork, &ending);
}

/* What the heap has between two runs. */
static filz_mmap_info look(void)
{
    filz_mmap heap = persistent_heap();
    assert_int_equal(filz_mmap_open(&heap), 0);
    filz_mmap_info info = stats_of(&heap);
    assert_int_equal(filz_mmap_close(&heap), 0);
    return info;
}

/* -- Many runs ----------------------------------------------------------------------------------------------------- */

/* No more than a hundred, because a tail must have room for all of them. */
static size_t number_of_runs(void)
{
    size_t runs = rounds_of(1000);
    return runs < 100 ? runs : 100;
}

static void assert_runs_take_no_more_than_one(enum ending ending)
{
    size_t runs = number_of_runs();
    int status = run_that_ends(ending);
    if (status == SKIPPED)
        SKIP("a program can't be started here");
    assert_int_equal(status, 0);
    filz_mmap_info first = look();
    for (size_t i = 1; i < runs; i++)
        assert_int_equal(run_that_ends(ending), 0);
    filz_mmap_info last = look();
    print_message("%zu bytes in %zu chunks after the first run, %zu in %zu after %zu\n", first.in_chunks, first.chunks,
                  last.in_chunks, last.chunks, runs);
    assert_int_equal(last.blocks, runs * THREADS);
    assert_int_equal(last.chunks, first.chunks);
    assert_int_equal(last.in_chunks, first.in_chunks);
}

static void many_runs_that_close_the_heap_take_no_more_chunks_than_one(void **state)
{
    (void)state;
    assert_runs_take_no_more_than_one(CLOSES);
}

static void many_runs_that_exit_take_no_more_chunks_than_one(void **state)
{
    (void)state;
    assert_runs_take_no_more_than_one(EXITS);
}

static void many_runs_that_return_from_main_take_no_more_chunks_than_one(void **state)
{
    (void)state;
    assert_runs_take_no_more_than_one(RETURNS_FROM_MAIN);
}

static void runs_that_close_the_heap_while_threads_wait_leave_their_tails_too(void **state)
{
    (void)state;
    assert_runs_take_no_more_than_one(CLOSES_WHILE_THREADS_WAIT);
}

static void runs_that_exit_while_threads_wait_leave_their_tails_too(void **state)
{
    (void)state;
    assert_runs_take_no_more_than_one(EXITS_WHILE_THREADS_WAIT);
}

/* What is in chunks after the first run are THREADS chunks. A later chunk may be a page larger, because where it begins
 * decides where it ends. */
static void a_killed_run_loses_at_most_one_tail_a_thread(void **state)
{
    (void)state;
    enum { KILLS = 5, RUNS_AFTER = 5 };
    assert_int_equal(run_that_ends(CLOSES), 0);
    filz_mmap_info first = look(), before = first;
    for (int i = 0; i < KILLS; i++) {
        assert_int_equal(run_that_ends(IS_KILLED), 128 + SIGKILL);
        assert_int_equal(run_that_ends(CLOSES), 0);
        filz_mmap_info after = look();
        assert_true(after.chunks <= before.chunks + THREADS);
        assert_true(after.in_chunks <= before.in_chunks + first.in_chunks + THREADS * first.page_size);
        for (int run = 1; run < RUNS_AFTER; run++)
            assert_int_equal(run_that_ends(CLOSES), 0);
        before = look();
        assert_int_equal(before.chunks, after.chunks);
        assert_int_equal(before.in_chunks, after.in_chunks);
    }
    assert_int_equal(before.blocks, (1 + KILLS * (1 + RUNS_AFTER)) * THREADS);
}

/* -- Each byte once ------------------------------------------------------------------------------------------------ */

enum { CLEAN_RUNS = 20, MOST_RECORDS = 50 * THREADS * BLOCKS };

/* What the root leads to: each block of each run. */
struct records {
    size_t count;
    struct record {
        unsigned char *block;
        size_t size;
        unsigned char byte;
    } all[MOST_RECORDS];
};

static int records_are_whole(const struct records *records)
{
    for (size_t i = 0; i < records->count; i++)
        EXPECT(is_filled(records->all[i].block, records->all[i].byte, records->all[i].size));
    return 0;
}

static struct records *records_of(filz_mmap *heap)
{
    struct records *records = filz_mmap_root(heap);
    if (records != NULL)
        return records;
    records = filz_mmap_alloc_zeroed(heap, sizeof(*records), _Alignof(struct records));
    return records != NULL && filz_mmap_set_root(heap, records) == 0 ? records : NULL;
}

static int record(struct records *records, const struct taker *taker)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        EXPECT(taker->blocks[i] != NULL && records->count < MOST_RECORDS);
        records->all[records->count++] = (struct record){taker->blocks[i], taker->sizes[i], taker->byte};
    }
    return 0;
}

/* A run whose threads write bytes that no other thread of this or the last 30 runs has written. */
static int take_and_record(void *context)
{
    static filz_mmap heap;
    static struct taker takers[THREADS];
    enum ending ending = *(enum ending *)context;
    heap = persistent_heap();
    EXPECT(filz_mmap_open(&heap) == 0);
    struct records *records = records_of(&heap);
    EXPECT(records != NULL && records_are_whole(records) == 0);
    for (size_t i = 0; i < THREADS; i++)
        takers[i] = (struct taker){.byte = (unsigned char)((records->count / BLOCKS + i) % 251 + 1)};
    EXPECT(take_in_threads(takers, &heap, ending) == 0);
    for (size_t i = 0; i < THREADS; i++)
        EXPECT(record(records, &takers[i]) == 0);
    EXPECT(records_are_whole(records) == 0);
    return end_run(&heap, ending);
}

static void no_two_threads_of_any_run_get_the_same_bytes_of_a_tail(void **state)
{
    (void)state;
    static const enum ending clean[] = {CLOSES, EXITS, CLOSES_WHILE_THREADS_WAIT, EXITS_WHILE_THREADS_WAIT};
    enum ending ending = CLOSES, killed = IS_KILLED;
    assert_int_equal(in_child(take_and_record, &ending), 0);
    size_t chunks = look().chunks;
    for (size_t i = 1; i < CLEAN_RUNS; i++) {
        ending = clean[i % COUNT(clean)];
        assert_int_equal(in_child(take_and_record, &ending), 0);
    }
    assert_int_equal(look().chunks, chunks);
    for (size_t i = 0; i < CLEAN_RUNS; i++) {
        bool now = i % 3 == 0;
        assert_int_equal(in_child(take_and_record, now ? &killed : &ending), now ? 128 + SIGKILL : 0);
    }
}

/* The chunks whose tails the file lists are no chunks any more. */
static void a_reset_heap_has_no_tails_and_the_next_run_begins_at_its_start(void **state)
{
    (void)state;
    enum ending ending = CLOSES;
    assert_int_equal(in_child(take_and_record, &ending), 0);
    filz_mmap_info first = look();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(in_child(take_and_record, &ending), 0);
        assert_int_equal(look().in_chunks, first.in_chunks);
        filz_mmap heap = persistent_heap();
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_int_equal(filz_mmap_reset(&heap), 0);
        assert_int_equal(filz_mmap_close(&heap), 0);
        assert_int_equal(look().chunks, 0);
        assert_int_equal(in_child(take_and_record, &ending), 0);
        assert_int_equal(look().in_chunks, first.in_chunks);
    }
}

static int allocate_16_bytes(void *closes)
{
    filz_mmap heap = persistent_heap();
    char *block = filz_mmap_alloc(&heap, 16, 1);
    EXPECT(block);
    memset(block, 'r', 16);
    return *(bool *)closes ? filz_mmap_close(&heap) : (_exit(0), 1);
}

/* The header, and chunks of which all but the last are full: no run takes more than it needs. */
static void many_runs_that_allocate_little_take_little_space(void **state)
{
    (void)state;
    size_t runs = rounds_of(1000);
    for (size_t i = 0; i < runs; i++) {
        bool closes = i % 2;
        assert_int_equal(in_child(allocate_16_bytes, &closes), 0);
    }
    filz_mmap_info info = look();
    assert_int_equal(info.blocks, runs);
    assert_true(info.in_chunks <= info.page_size + runs * 16 + 8 * info.page_size);
    print_message("%zu runs, one after the other, that take 16 bytes each, took %zu KiB in %zu chunks\n", runs,
                  info.in_chunks / KIB, info.chunks);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return take_16_bytes_each(RETURNS_FROM_MAIN);
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(many_runs_that_close_the_heap_take_no_more_chunks_than_one),
        IN_FRESH_DIRECTORY(many_runs_that_exit_take_no_more_chunks_than_one),
        IN_FRESH_DIRECTORY(many_runs_that_return_from_main_take_no_more_chunks_than_one),
        IN_FRESH_DIRECTORY(runs_that_close_the_heap_while_threads_wait_leave_their_tails_too),
        IN_FRESH_DIRECTORY(runs_that_exit_while_threads_wait_leave_their_tails_too),
        IN_FRESH_DIRECTORY(a_killed_run_loses_at_most_one_tail_a_thread),
        IN_FRESH_DIRECTORY(no_two_threads_of_any_run_get_the_same_bytes_of_a_tail),
        IN_FRESH_DIRECTORY(a_reset_heap_has_no_tails_and_the_next_run_begins_at_its_start),
        IN_FRESH_DIRECTORY(many_runs_that_allocate_little_take_little_space),
    };
    return cmocka_run_group_tests_name("chunk_tails", tests, NULL, NULL);
}
