/* A large block that shrinks gives back the memory that it had, whichever thread's chunks are around it. */
#include "support.h"

#include <semaphore.h>

enum { LARGE = 64 * 1024 * 1024, ROUNDS = 11 };

/* So little that a second large block doesn't fit. */
#define CAPACITY (LARGE + 32 * MIB)

/* What a round may leave, and what a large block may need besides its bytes. */
#define LITTLE (MIB / ROUNDS)

/* A thread whose active chunk comes after the main thread's, for as long as it waits. */
struct neighbour {
    filz_mmap *heap;
    void *block;
    sem_t has_taken, may_end;
    pthread_t thread;
};

static void *take_and_wait(void *context)
{
    struct neighbour *neighbour = context;
    neighbour->block = filz_mmap_alloc(neighbour->heap, 100, 1);
    sem_post(&neighbour->has_taken);
    while (sem_wait(&neighbour->may_end) != 0)
        continue;
    return NULL;
}

static void begin_neighbour(struct neighbour *neighbour, filz_mmap *heap)
{
    assert_non_null(filz_mmap_alloc(heap, 100, 1));
    *neighbour = (struct neighbour){.heap = heap};
    assert_int_equal(sem_init(&neighbour->has_taken, 0, 0) | sem_init(&neighbour->may_end, 0, 0), 0);
    assert_int_equal(pthread_create(&neighbour->thread, NULL, take_and_wait, neighbour), 0);
    while (sem_wait(&neighbour->has_taken) != 0)
        continue;
    assert_non_null(neighbour->block);
}

static void end_neighbour(struct neighbour *neighbour)
{
    sem_post(&neighbour->may_end);
    assert_int_equal(pthread_join(neighbour->thread, NULL), 0);
}

/* Writes to the first and last MiB of a large block, and to some pages between. */
static void write_to(char *block)
{
    memset(block, 'w', MIB);
    for (size_t i = MIB; i < LARGE - MIB; i += MIB)
        memset(block + i + i / 100, 'w', 4 * KIB);
    memset(block + LARGE - MIB, 'w', MIB);
}

static void memory_of_a_large_block_that_shrank_is_allocated_again(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = CAPACITY};
    static struct neighbour neighbour;
    begin_neighbour(&neighbour, &heap);
    size_t start = stats_of(&heap).in_chunks;
    for (size_t i = 1; i <= ROUNDS; i++) {
        char *block = filz_mmap_alloc(&heap, LARGE, 8);
        assert_non_null(block);
        assert_true(stats_of(&heap).in_chunks <= start + LARGE + i * LITTLE);
        memset(block, 'b', 100);
        assert_ptr_equal(filz_mmap_realloc(&heap, block, LARGE, 8, 100), block);
        assert_true(is_filled(block, 'b', 100));
        assert_true(stats_of(&heap).in_chunks <= start + i * LITTLE);
    }
    end_neighbour(&neighbour);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void each_step_in_which_a_large_block_shrinks_gives_back_memory(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = CAPACITY};
    static struct neighbour neighbour;
    begin_neighbour(&neighbour, &heap);
    size_t start = stats_of(&heap).in_chunks;
    char *block = filz_mmap_alloc(&heap, LARGE, 4096);
    assert_non_null(block);
    for (size_t size = LARGE; size > 1; size /= 2) {
        assert_ptr_equal(filz_mmap_realloc(&heap, block, size, 4096, size / 2), block);
        assert_true(stats_of(&heap).in_chunks <= start + size / 2 + LITTLE + (size_t)sysconf(_SC_PAGESIZE));
    }
    end_neighbour(&neighbour);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_zeroed_block_is_zero_where_a_large_block_shrank(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = CAPACITY};
    static struct neighbour neighbour;
    begin_neighbour(&neighbour, &heap);
    for (size_t i = 0; i < 3; i++) {
        char *block = filz_mmap_alloc_zeroed(&heap, LARGE, 1);
        assert_non_null(block);
        assert_true(is_filled(block, 0, LARGE));
        write_to(block);
        assert_ptr_equal(filz_mmap_realloc(&heap, block, LARGE, 1, 100), block);
        assert_true(is_filled(block, 'w', 100));
    }
    end_neighbour(&neighbour);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void it_is_zero_in_the_next_run_too(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        filz_mmap heap = {.path = "shrink.filz", .capacity = CAPACITY, .flags = FILZ_MMAP_PERSISTENT, .tag = 1};
        static struct neighbour neighbour;
        begin_neighbour(&neighbour, &heap);
        char *block = filz_mmap_alloc_zeroed(&heap, LARGE, 1);
        assert_non_null(block);
        assert_true(is_filled(block, 0, LARGE));
        write_to(block);
        assert_ptr_equal(filz_mmap_realloc(&heap, block, LARGE, 1, 100), block);
        end_neighbour(&neighbour);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(memory_of_a_large_block_that_shrank_is_allocated_again),
        IN_FRESH_DIRECTORY(each_step_in_which_a_large_block_shrinks_gives_back_memory),
        IN_FRESH_DIRECTORY(a_zeroed_block_is_zero_where_a_large_block_shrank),
        IN_FRESH_DIRECTORY(it_is_zero_in_the_next_run_too),
    };
    return cmocka_run_group_tests_name("shrink", tests, NULL, NULL);
}
