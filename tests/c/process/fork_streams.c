/* fork(2) waits for locks of the C library's, a stream's among them, whose owner may wait for a lock of filz's:
 * whatever order they come in, nobody waits for ever. A process that makes no progress dies of SIGALRM. */
#include "endings.h"
#include "forks.h"

#include <sched.h>

enum { KEPT = 256, MOST_THREADS = 8 };

/* -- Blocks that are known by their checksums ---------------------------------------------------------------------- */

struct kept {
    unsigned char *bytes;
    size_t size;
    uint64_t sum;
};

struct family;

struct member {
    struct family *family;
    pthread_t thread;
    struct kept kept[KEPT];
    size_t whole; /* how many of these are; atomic */
    size_t turns, wrong;
};

struct family {
    filz_mmap heap;
    struct member members[MOST_THREADS];
    size_t count, forks;
    int stop; /* atomic */
};

static uint64_t sum_of(const unsigned char *bytes, size_t size)
{
    uint64_t sum = size;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ bytes[i]) * 0x100000001B3;
    return sum;
}

/* The first blocks are kept, with what was written; of the others only the first bytes, so that the heap stays small.
 */
static int allocate_copy(struct member *member, const char *text, size_t size)
{
    filz_mmap *heap = &member->family->heap;
    unsigned char *block = filz_mmap_alloc(heap, size, 1);
    EXPECT(block);
    memcpy(block, text, size);
    if (member->whole == KEPT) {
        EXPECT(filz_mmap_realloc(heap, block, size, 1, 8) == block);
        return 0;
    }
    member->kept[member->whole] = (struct kept){block, size, sum_of(block, size)};
    __atomic_store_n(&member->whole, member->whole + 1, __ATOMIC_RELEASE);
    return 0;
}

/* How many blocks of each member a fork must bring along. */
struct known {
    size_t counts[MOST_THREADS];
};

static struct known known_now(const struct family *family)
{
    struct known known = {{0}};
    for (size_t i = 0; i < family->count; i++)
        known.counts[i] = __atomic_load_n(&family->members[i].whole, __ATOMIC_ACQUIRE);
    return known;
}

static int known_are_whole(const struct family *family, const struct known *known)
{
    for (size_t i = 0; i < family->count; i++)
        for (size_t n = 0; n < known->counts[i]; n++) {
            const struct kept *kept = &family->members[i].kept[n];
            EXPECT(sum_of(kept->bytes, kept->size) == kept->sum);
        }
    return 0;
}

/* -- What the members do ------------------------------------------------------------------------------------------- */

static bool is_over(const struct member *member)
{
    return member->wrong != 0 || __atomic_load_n(&member->family->stop, __ATOMIC_RELAXED);
}

/* Runs `turn` until the forks are done. */
static void take_turns(struct member *member, int (*turn)(struct member *))
{
    for (; !is_over(member); member->turns++) {
        member->wrong = (size_t)turn(member);
        sched_yield();
    }
}

static ssize_t write_to_heap(void *member, const char *text, size_t size)
{
    return allocate_copy(member, text, size) == 0 ? (ssize_t)size : 0;
}

static int print_and_flush_all(FILE *stream, size_t turn)
{
    EXPECT(fprintf(stream, "turn %zu\n", turn) > 0);
    EXPECT(fflush(NULL) == 0);
    return 0;
}

/* The stream's lock is held while its write function asks the heap. */
static void *print(void *context)
{
    struct member *member = context;
    FILE *stream = fopencookie(member, "w", (cookie_io_functions_t){.write = write_to_heap});
    member->wrong = stream == NULL;
    for (; !is_over(member); member->turns++) {
        member->wrong = (size_t)print_and_flush_all(stream, member->turns);
        usleep(20); /* or fork hardly ever gets the lock of all streams */
    }
    if (stream != NULL)
        fclose(stream);
    return NULL;
}

static int allocate_some(struct member *member)
{
    static const char text[3000] = "allocated while others fork";
    return allocate_copy(member, text, 100 + member->turns % 2900);
}

static void *allocate(void *member)
{
    take_turns(member, allocate_some);
    return NULL;
}

static int open_and_close_one(struct member *member)
{
    filz_mmap heap = {.path = member->turns % 2 ? "other.filz" : NULL, .capacity = MIB};
    EXPECT(filz_mmap_open(&heap) == 0);
    char *block = filz_mmap_alloc_zeroed(&heap, 20 * KIB, 1);
    EXPECT(block && is_filled(block, 0, 20 * KIB));
    memset(block, 'o', 20 * KIB);
    EXPECT(filz_mmap_close(&heap) == 0);
    return 0;
}

static void *open_and_close(void *member)
{
    take_turns(member, open_and_close_one);
    return NULL;
}

static int fill_and_reset(filz_mmap *heap)
{
    char *blocks[10];
    for (size_t i = 0; i < COUNT(blocks); i++) {
        blocks[i] = filz_mmap_alloc_zeroed(heap, 10 * KIB, 1);
        EXPECT(blocks[i] && is_filled(blocks[i], 0, 10 * KIB));
        memset(blocks[i], 'r', 10 * KIB);
    }
    for (size_t i = 0; i < COUNT(blocks); i++)
        EXPECT(is_filled(blocks[i], 'r', 10 * KIB));
    EXPECT(filz_mmap_reset(heap) == 0);
    return 0;
}

/* Of a heap that is this thread's alone. */
static void *reset(void *context)
{
    struct member *member = context;
    filz_mmap own = {.capacity = MIB};
    for (; !is_over(member); member->turns++) {
        member->wrong = (size_t)fill_and_reset(&own);
        sched_yield();
    }
    member->wrong += filz_mmap_close(&own) != 0;
    return NULL;
}

/* -- Forking ------------------------------------------------------------------------------------------------------- */

static int live_as_a_child(struct family *family, const struct known *known)
{
    alarm(PATIENCE);
    EXPECT(known_are_whole(family, known) == 0);
    EXPECT(allocate_and_write(&family->heap) == 0);
    return known_are_whole(family, known);
}

static int fork_once(struct member *member)
{
    struct family *family = member->family;
    struct known known = known_now(family);
    pid_t child = fork();
    if (child == 0)
        end_at_once(live_as_a_child(family, &known));
    EXPECT(end_child_at_once(child) == 0);
    alarm(PATIENCE); /* from now on: there is progress */
    return allocate_some(member) || known_are_whole(family, &known);
}

static void *fork_all(void *context)
{
    struct member *member = context;
    for (; member->turns < member->family->forks && !is_over(member); member->turns++)
        member->wrong = (size_t)fork_once(member);
    return NULL;
}

/* Each has a thread, the first of them fork; when these have ended, the others do. */
static int live(struct family *family, void *(*const *bodies)(void *), size_t count, size_t forking)
{
    int wrong = 0;
    alarm(PATIENCE);
    family->count = count;
    family->heap.capacity = 512 * MIB;
    EXPECT(filz_mmap_open(&family->heap) == 0);
    for (size_t i = 0; i < count; i++) {
        family->members[i].family = family;
        EXPECT(pthread_create(&family->members[i].thread, NULL, bodies[i], &family->members[i]) == 0);
    }
    for (size_t i = 0; i < count; i++) {
        if (i == forking)
            __atomic_store_n(&family->stop, 1, __ATOMIC_RELAXED);
        EXPECT(pthread_join(family->members[i].thread, NULL) == 0);
        wrong |= family->members[i].wrong != 0;
    }
    struct known known = known_now(family);
    EXPECT(wrong == 0 && known_are_whole(family, &known) == 0);
    return filz_mmap_close(&family->heap);
}

static struct family *new_family(size_t forks)
{
    struct family *family = calloc(1, sizeof(*family));
    if (family == NULL)
        exit(1);
    family->forks = forks;
    return family;
}

static int fork_beside_a_stream(void *forks)
{
    static void *(*const bodies[])(void *) = {fork_all, print};
    struct family *family = new_family(*(size_t *)forks);
    EXPECT(live(family, bodies, COUNT(bodies), 1) == 0);
    print_message("%zu forks, %zu lines flushed\n", family->forks, family->members[1].turns);
    free(family);
    return 0;
}

static void a_stream_that_writes_to_the_heap_and_a_fork_do_not_wait_for_each_other(void **state)
{
    (void)state;
    if (SANITIZED_FOR_THREADS)
        SKIP("the copy reads what other threads write, which ThreadSanitizer calls a race");
    size_t forks = rounds_of(5000);
    assert_int_equal(in_child(fork_beside_a_stream, &forks), 0);
}

static int fork_beside_all(void *forks)
{
    static void *(*const bodies[])(void *) = {fork_all, fork_all, print, allocate, allocate, open_and_close, reset};
    struct family *family = new_family(*(size_t *)forks);
    EXPECT(live(family, bodies, COUNT(bodies), 2) == 0);
    const struct member *others = family->members;
    print_message("two threads forked %zu times each beside %zu lines flushed, %zu blocks, %zu heaps and %zu resets\n",
                  family->forks, others[2].turns, others[3].turns + others[4].turns, others[5].turns, others[6].turns);
    free(family);
    return 0;
}

static void two_threads_fork_while_others_print_allocate_open_close_and_reset(void **state)
{
    (void)state;
    if (SANITIZED_FOR_THREADS)
        SKIP("the copy reads what other threads write, which ThreadSanitizer calls a race");
    size_t forks = rounds_of(2000);
    assert_int_equal(in_child(fork_beside_all, &forks), 0);
    assert_int_equal(entries_in("."), exists("other.filz"));
}

/* As children of FILZ_FORK=private come to their heaps, too. */
static void so_do_they_where_no_copy_is_made(void **state)
{
    (void)state;
    if (SANITIZED_FOR_THREADS)
        SKIP("a private child reads what its parent's threads write, which ThreadSanitizer calls a race");
    size_t forks = rounds_of(1000);
    assert_int_equal(setenv("FILZ_FORK", "private", 1), 0);
    int status = in_child(fork_beside_all, &forks);
    assert_int_equal(unsetenv("FILZ_FORK"), 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_stream_that_writes_to_the_heap_and_a_fork_do_not_wait_for_each_other),
        IN_FRESH_DIRECTORY(two_threads_fork_while_others_print_allocate_open_close_and_reset),
        IN_FRESH_DIRECTORY(so_do_they_where_no_copy_is_made),
    };
    return cmocka_run_group_tests_name("fork_streams", tests, NULL, NULL);
}
