/* The lock on a heap's file keeps out every process but one, also when two open it at the same moment. */
#include "heap_files.h"

#include <sched.h>
#include <sys/file.h>
#include <time.h>

static void a_heap_that_this_process_has_open_is_refused(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "a.filz", .capacity = MIB};
    char *block = filz_mmap_alloc(&heap, 100, 1);
    memset(block, 'b', 100);
    assert_int_equal(use("a.filz"), FILZ_EINUSE);
    assert_true(is_filled(block, 'b', 100));
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(use("a.filz"), 0);
}

static void a_heap_that_another_process_has_open_is_refused(void **state)
{
    (void)state;
    struct holder holder = hold((filz_mmap){.path = "a.filz", .capacity = MIB});
    assert_int_equal(use("a.filz"), FILZ_EINUSE);
    let_go(holder);
    assert_int_equal(use("a.filz"), 0);
}

static void a_file_that_another_program_has_locked_is_refused(void **state)
{
    (void)state;
    int fd = open("a.filz", O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    assert_int_equal(use("a.filz"), FILZ_EINUSE);
    close(fd);
    assert_int_equal(use("a.filz"), 0);
}

/* -- Two processes that open one file at the same moment ----------------------------------------------------------- */

/* Two processes open one heap at the same moment, in many rounds. */
struct race {
    size_t rounds;
    unsigned arrived; /* at all meetings together */
    unsigned owners;  /* that have the heap open now */
    size_t wins[2];   /* rounds in which each got the heap */
    int errors[2];    /* of filz_mmap_open, in this round */
    char mark[2][64]; /* what each writes into its heap */
    long long ready[2], started[2];
    size_t close_together;
};

struct racer {
    struct race *race;
    unsigned number;
};

enum kind { FILE_IS_MISSING, FILE_IS_THERE, WINNER_CLOSES_AT_ONCE, KINDS };

/* Waits until both have come here as often. They spin, because a process that sleeps would start later. */
static void meet(struct race *race, unsigned *meetings)
{
    __atomic_fetch_add(&race->arrived, 1, __ATOMIC_SEQ_CST);
    unsigned all = 2 * ++*meetings;
    for (unsigned spins = 1; __atomic_load_n(&race->arrived, __ATOMIC_SEQ_CST) < all; spins++)
        if (spins % 10000 == 0)
            sched_yield();
}

static long long nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* The process that first sees that the other is there would start early, so both start at an agreed later time. */
static void meet_at_start(struct race *race, unsigned number, unsigned *meetings)
{
    race->ready[number] = nanoseconds();
    meet(race, meetings);
    long long start = (race->ready[0] > race->ready[1] ? race->ready[0] : race->ready[1]) + 10000;
    while ((race->started[number] = nanoseconds()) < start)
        continue;
}

/* Opens the heap. A process that gets it must be its only owner, and writes its mark. */
static int try_to_open(const struct racer *racer, filz_mmap *heap)
{
    struct race *race = racer->race;
    int error = race->errors[racer->number] = filz_mmap_open(heap);
    if (error != 0)
        return 0;
    EXPECT(__atomic_fetch_add(&race->owners, 1, __ATOMIC_SEQ_CST) == 0);
    char *block = filz_mmap_alloc(heap, sizeof(race->mark[0]), 1);
    EXPECT(block);
    memcpy(block, race->mark[racer->number], sizeof(race->mark[0]));
    return 0;
}

static int close_if_opened(const struct racer *racer, filz_mmap *heap)
{
    if (racer->race->errors[racer->number] == 0)
        __atomic_fetch_sub(&racer->race->owners, 1, __ATOMIC_SEQ_CST);
    return filz_mmap_close(heap);
}

/* One has the heap, the other the error FILZ_EINUSE, and the file holds the mark of the first alone. */
static int check_winner(const struct race *race, bool at_once)
{
    int winner = race->errors[0] == 0 ? 0 : 1;
    EXPECT(race->errors[winner] == 0);
    EXPECT(race->errors[1 - winner] == FILZ_EINUSE || (at_once && race->errors[1 - winner] == 0));
    if (at_once && race->errors[1] == 0)
        return 0; /* one after the other: the file is the last one's */
    static char bytes[256 * KIB];
    int fd = open("contended.filz", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, bytes, sizeof(bytes));
    EXPECT(fd >= 0 && length > 0 && close(fd) == 0);
    EXPECT(memcmp(bytes, FZ_MAGIC, strlen(FZ_MAGIC)) == 0);
    EXPECT(memmem(bytes, (size_t)length, race->mark[winner], sizeof(race->mark[0])));
    EXPECT(!memmem(bytes, (size_t)length, race->mark[1 - winner], sizeof(race->mark[0])));
    return 0;
}

static void prepare_round(struct race *race, size_t round)
{
    if (round % KINDS == FILE_IS_MISSING)
        unlink("contended.filz");
    for (size_t i = 0; i < 2; i++)
        snprintf(race->mark[i], sizeof(race->mark[i]), "round %zu racer %zu", round, i);
}

static int race_all_rounds(void *context)
{
    const struct racer *racer = context;
    struct race *race = racer->race;
    unsigned meetings = 0;
    for (size_t round = 0; round < race->rounds; round++) {
        bool at_once = round % KINDS == WINNER_CLOSES_AT_ONCE;
        filz_mmap heap = {.path = "contended.filz", .capacity = MIB};
        if (racer->number == 0)
            prepare_round(race, round);
        meet_at_start(race, racer->number, &meetings);
        EXPECT(try_to_open(racer, &heap) == 0);
        EXPECT(!at_once || close_if_opened(racer, &heap) == 0);
        meet(race, &meetings);
        EXPECT(check_winner(race, at_once) == 0);
        if (racer->number == 0)
            race->close_together += llabs(race->started[0] - race->started[1]) < 1000;
        race->wins[racer->number] += race->errors[racer->number] == 0;
        meet(race, &meetings);
        EXPECT(at_once || close_if_opened(racer, &heap) == 0);
        meet(race, &meetings);
    }
    return 0;
}

/* The other process would wait forever for one that failed. */
static int end_racer(pid_t ended, pid_t other)
{
    int status = end_child(ended);
    if (status != 0)
        kill(other, SIGKILL);
    return status;
}

static void exactly_one_of_two_processes_that_race_for_a_heap_gets_it(void **state)
{
    (void)state;
    struct race *race = share_with_children(sizeof(*race));
    assert_non_null(race);
    race->rounds = rounds_of(10000);
    struct racer racers[2] = {{race, 0}, {race, 1}};
    pid_t first = begin_child(race_all_rounds, &racers[0]);
    pid_t second = begin_child(race_all_rounds, &racers[1]);
    int status = end_racer(first, second);
    assert_int_equal(end_racer(second, first), 0);
    assert_int_equal(status, 0);
    print_message("%zu races, won %zu and %zu times; %zu begun within a microsecond\n", race->rounds, race->wins[0],
                  race->wins[1], race->close_together);
    munmap(race, sizeof(*race));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_heap_that_this_process_has_open_is_refused),
        IN_FRESH_DIRECTORY(a_heap_that_another_process_has_open_is_refused),
        IN_FRESH_DIRECTORY(a_file_that_another_program_has_locked_is_refused),
        IN_FRESH_DIRECTORY(exactly_one_of_two_processes_that_race_for_a_heap_gets_it),
    };
    return cmocka_run_group_tests_name("locks", tests, NULL, NULL);
}
