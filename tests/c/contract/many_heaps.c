/* Two and more heaps in one process, also more of them than a thread has active chunks in: each block is in its own
 * heap, and no heap changes another. */
#include "threads.h"

#include "../../../c/heap.h"
#include "../../../c/thread_cache.h"

enum { MOST_HEAPS = 100, TURNS_AMONG = 260 }; /* more than a page of the thread cache has on 64 bits */

static filz_mmap heaps[TURNS_AMONG];

static void open_heaps(size_t count, size_t capacity)
{
    for (size_t i = 0; i < count; i++) {
        heaps[i] = (filz_mmap){.capacity = capacity};
        assert_int_equal(filz_mmap_open(&heaps[i]), 0);
    }
}

static void close_heaps(size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(filz_mmap_close(&heaps[i]), 0);
}

/* How many of the heaps say that it is theirs. */
static size_t owners_of(const void *block, size_t count)
{
    size_t owners = 0;
    for (size_t i = 0; i < count; i++)
        owners += filz_mmap_owns(&heaps[i], block);
    return owners;
}

/* -- Each block is in its own heap --------------------------------------------------------------------------------- */

enum { BLOCKS = 20, TEXT = 64 };

/* Takes turns, so that no heap is the one that the thread used last. */
static void write_into_every_heap(char *blocks[][MOST_HEAPS])
{
    for (size_t n = 0; n < BLOCKS; n++)
        for (size_t i = 0; i < MOST_HEAPS; i++) {
            blocks[n][i] = filz_mmap_alloc(&heaps[i], TEXT + 300 * n, 8);
            assert_non_null(blocks[n][i]);
            snprintf(blocks[n][i], TEXT, "block %zu of heap %zu", n, i);
        }
}

/* The file alone says where its blocks were in memory. */
static void file_holds(const char *path, char *const *blocks, size_t heap)
{
    struct fz_header header;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(&header, sizeof(header), 1, file), 1);
    for (size_t n = 0; n < BLOCKS; n++) {
        char text[TEXT], expected[TEXT];
        assert_int_equal(fseek(file, (long)((uintptr_t)blocks[n * MOST_HEAPS] - header.base), SEEK_SET), 0);
        assert_non_null(fgets(text, TEXT, file));
        snprintf(expected, TEXT, "block %zu of heap %zu", n, heap);
        assert_string_equal(text, expected);
    }
    assert_int_equal(fclose(file), 0);
}

static void each_block_is_in_its_own_of_100_heaps_and_in_its_file(void **state)
{
    (void)state;
    static char names[MOST_HEAPS][TEXT];
    static char *blocks[BLOCKS][MOST_HEAPS];
    for (size_t i = 0; i < MOST_HEAPS; i++) {
        snprintf(names[i], TEXT, "%zu.filz", i);
        heaps[i] = (filz_mmap){.path = names[i], .capacity = MIB};
    }
    write_into_every_heap(blocks);
    for (size_t i = 0; i < MOST_HEAPS; i++) {
        for (size_t n = 0; n < BLOCKS; n++) {
            assert_true(filz_mmap_owns(&heaps[i], blocks[n][i]));
            assert_int_equal(owners_of(blocks[n][i], MOST_HEAPS), 1);
        }
        assert_int_equal(stats_of(&heaps[i]).blocks, BLOCKS);
        file_holds(names[i], &blocks[0][i], i);
    }
    close_heaps(MOST_HEAPS);
    for (size_t i = 0; i < MOST_HEAPS; i++)
        file_holds(names[i], &blocks[0][i], i);
}

/* -- One thread takes turns among more heaps than its cache has entries -----------------------------------------------
 */

struct turns {
    size_t count, size;
    char **blocks; /* `count` for each heap */
};

static void take_turns(struct turns turns)
{
    for (size_t n = 0; n < turns.count; n++)
        for (size_t i = 0; i < TURNS_AMONG; i++) {
            char *block = filz_mmap_alloc(&heaps[i], turns.size, 1);
            assert_non_null(block);
            memset(block, (int)(n + i), turns.size);
            turns.blocks[i * turns.count + n] = block;
        }
}

static void each_block_is_where_it_belongs(struct turns turns)
{
    for (size_t i = 0; i < TURNS_AMONG; i++)
        for (size_t n = 0; n < turns.count; n++) {
            const char *block = turns.blocks[i * turns.count + n];
            assert_true(filz_mmap_owns(&heaps[i], block));
            assert_int_equal(owners_of(block, TURNS_AMONG), 1);
            assert_true(is_filled(block, (int)(n + i), turns.size));
        }
}

/* A heap's chunk is left when the thread gives up its entry, and its tail goes back to the thread. What is lost is what
 * is left of a chunk when a block doesn't fit: less than that block. */
static void waste_is_less_than_a_chunk_and_what_did_not_fit(struct turns turns)
{
    size_t used = 0, waste = 0;
    for (size_t i = 0; i < TURNS_AMONG; i++) {
        filz_mmap_info info = stats_of(&heaps[i]);
        size_t chunk = turns.size * 8 > chunk_size(&heaps[i]) ? turns.size * 8 : chunk_size(&heaps[i]);
        chunk = info.used > chunk ? info.used : chunk; /* one that stays the thread's doubles */
        assert_true(waste_of(&heaps[i]) < chunk + info.chunks * turns.size);
        used += info.used;
        waste += waste_of(&heaps[i]);
    }
    print_message("%zu times %zu bytes in each of %d heaps: %zu KiB unused, %.1f percent of what is used\n",
                  turns.count, turns.size, TURNS_AMONG, waste / KIB, 100.0 * (double)waste / (double)used);
}

static void turns_among_heaps_waste_little(size_t count, size_t size)
{
    struct turns turns = {count, size, calloc(count * TURNS_AMONG, sizeof(char *))};
    assert_non_null(turns.blocks);
    open_heaps(TURNS_AMONG, 4 * MIB);
    take_turns(turns);
    each_block_is_where_it_belongs(turns);
    waste_is_less_than_a_chunk_and_what_did_not_fit(turns);
    close_heaps(TURNS_AMONG);
    free(turns.blocks);
}

static void a_thread_that_takes_turns_among_260_heaps_wastes_little(void **state)
{
    (void)state;
    turns_among_heaps_waste_little(100, 100);
    turns_among_heaps_waste_little(30, 4000);
    turns_among_heaps_waste_little(8, 20 * KIB);
}

static void a_block_of_a_heap_that_lost_its_place_grows_with_its_contents(void **state)
{
    (void)state;
    char *blocks[TURNS_AMONG];
    open_heaps(TURNS_AMONG, 4 * MIB);
    for (size_t i = 0; i < TURNS_AMONG; i++)
        blocks[i] = memset(filz_mmap_alloc(&heaps[i], 10, 1), (int)i, 10);
    for (size_t size = 10; size < 10000; size *= 3)
        for (size_t i = 0; i < TURNS_AMONG; i++) {
            blocks[i] = filz_mmap_realloc(&heaps[i], blocks[i], size, 1, size * 3);
            assert_non_null(blocks[i]);
            assert_true(filz_mmap_owns(&heaps[i], blocks[i]));
            assert_true(is_filled(blocks[i], (int)i, size));
            memset(blocks[i], (int)i, size * 3);
        }
    close_heaps(TURNS_AMONG);
}

/* -- Several threads do ------------------------------------------------------------------------------------------- */

struct worker {
    int number;
    pthread_barrier_t *all_there;
    unsigned char *blocks[60][TURNS_AMONG];
    size_t wrong;
};

static size_t size_of(size_t n)
{
    return 1 + n * 37 % 200;
}

/* Each thread begins with another heap. */
static void *work(void *argument)
{
    struct worker *worker = argument;
    pthread_barrier_wait(worker->all_there);
    for (size_t n = 0; n < COUNT(worker->blocks); n++)
        for (size_t i = 0; i < TURNS_AMONG; i++) {
            size_t heap = (i + (size_t)worker->number * 5) % TURNS_AMONG;
            unsigned char *block = filz_mmap_alloc(&heaps[heap], size_of(n), 1);
            worker->blocks[n][heap] = block;
            if (block == NULL || !filz_mmap_owns(&heaps[heap], block))
                return worker->wrong++, NULL;
            memset(block, worker->number, size_of(n));
        }
    return NULL;
}

static void let_all_work(struct worker *workers, size_t count)
{
    pthread_barrier_t all_there;
    assert_int_equal(pthread_barrier_init(&all_there, NULL, (unsigned)count), 0);
    for (size_t i = 0; i < count; i++)
        workers[i] = (struct worker){.number = (int)i + 1, .all_there = &all_there};
    in_threads(count, work, workers, sizeof(*workers));
    assert_int_equal(pthread_barrier_destroy(&all_there), 0);
}

static void its_blocks_are_whole(const struct worker *worker)
{
    assert_int_equal(worker->wrong, 0);
    for (size_t n = 0; n < COUNT(worker->blocks); n++)
        for (size_t heap = 0; heap < TURNS_AMONG; heap++)
            assert_true(is_filled(worker->blocks[n][heap], worker->number, size_of(n)));
}

static void threads_that_take_turns_among_260_heaps_never_share_a_byte(void **state)
{
    (void)state;
    static struct worker workers[4];
    open_heaps(TURNS_AMONG, 4 * MIB);
    size_t rounds = rounds_of(100);
    for (size_t round = 0; round < rounds; round++) {
        let_all_work(workers, COUNT(workers));
        for (size_t i = 0; i < COUNT(workers); i++)
            its_blocks_are_whole(&workers[i]);
        for (size_t i = 0; i < TURNS_AMONG; i++)
            assert_int_equal(filz_mmap_reset(&heaps[i]), 0);
    }
    print_message("%zu rounds of %zu threads\n", rounds, COUNT(workers));
    close_heaps(TURNS_AMONG);
}

/* -- A few heaps --------------------------------------------------------------------------------------------------- */

/* The heaps would be full long before the end. */
static void a_thread_that_takes_turns_among_20_heaps_takes_no_new_chunk_for_each_turn(void **state)
{
    (void)state;
    enum { HEAPS = 20, ROUNDS = 200, SIZE = 100 };
    static char *blocks[ROUNDS][HEAPS];
    open_heaps(HEAPS, MIB);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < HEAPS; i++) {
            blocks[round][i] = filz_mmap_alloc(&heaps[i], SIZE, 1);
            assert_non_null(blocks[round][i]);
            memset(blocks[round][i], (int)(round + i), SIZE);
        }
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < HEAPS; i++) {
            assert_true(is_filled(blocks[round][i], (int)(round + i), SIZE));
            assert_true(filz_mmap_owns(&heaps[i], blocks[round][i]));
            assert_int_equal(owners_of(blocks[round][i], HEAPS), 1);
        }
    for (size_t i = 0; i < HEAPS; i++) {
        assert_int_equal(stats_of(&heaps[i]).blocks, ROUNDS);
        assert_true(stats_of(&heaps[i]).used < ROUNDS * SIZE + 4 * stats_of(&heaps[i]).page_size);
    }
    close_heaps(HEAPS);
}

static void a_new_heap_does_not_allocate_from_the_chunk_of_a_closed_one(void **state)
{
    (void)state;
    for (size_t round = 0; round < 30; round++) {
        filz_mmap a = {.capacity = MIB}, b = {.capacity = MIB};
        assert_non_null(filz_mmap_alloc(&a, 10, 1));
        assert_int_equal(filz_mmap_close(&a), 0);
        char *block = filz_mmap_alloc(&b, 10, 1);
        assert_true(filz_mmap_owns(&b, block));
        memset(block, 'b', 10);
        assert_int_equal(filz_mmap_close(&b), 0);
    }
}

static void resetting_one_heap_changes_no_other(void **state)
{
    (void)state;
    filz_mmap a = {.capacity = MIB}, b = {.capacity = MIB};
    char *kept = filz_mmap_alloc(&b, 100, 1);
    memset(kept, 'k', 100);
    for (size_t round = 0; round < 30; round++) {
        memset(filz_mmap_alloc(&a, 100 * KIB, 1), 'a', 100 * KIB);
        assert_non_null(filz_mmap_alloc(&b, 100, 1));
        assert_int_equal(filz_mmap_reset(&a), 0);
    }
    assert_true(is_filled(kept, 'k', 100));
    assert_int_equal(stats_of(&b).blocks, 31);
    assert_int_equal(filz_mmap_close(&a), 0);
    assert_int_equal(filz_mmap_close(&b), 0);
}

static void the_newest_block_grows_in_place_after_another_heap_was_used(void **state)
{
    (void)state;
    filz_mmap one = {.capacity = MIB}, other = {.capacity = MIB};
    char *block = filz_mmap_alloc(&one, 100, 1);
    assert_non_null(block);
    assert_non_null(filz_mmap_alloc(&other, 100, 1));
    assert_ptr_equal(filz_mmap_realloc(&one, block, 100, 1, 200), block);
    assert_non_null(filz_mmap_alloc(&other, 100, 1));
    assert_ptr_equal(filz_mmap_realloc(&one, block, 200, 1, 50), block);
    assert_ptr_equal(filz_mmap_alloc(&one, 1, 1), block + 50);
    assert_int_equal(filz_mmap_close(&one), 0);
    assert_int_equal(filz_mmap_close(&other), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(each_block_is_in_its_own_of_100_heaps_and_in_its_file),
        IN_FRESH_DIRECTORY(a_thread_that_takes_turns_among_260_heaps_wastes_little),
        IN_FRESH_DIRECTORY(a_block_of_a_heap_that_lost_its_place_grows_with_its_contents),
        IN_FRESH_DIRECTORY(threads_that_take_turns_among_260_heaps_never_share_a_byte),
        IN_FRESH_DIRECTORY(a_thread_that_takes_turns_among_20_heaps_takes_no_new_chunk_for_each_turn),
        IN_FRESH_DIRECTORY(a_new_heap_does_not_allocate_from_the_chunk_of_a_closed_one),
        IN_FRESH_DIRECTORY(resetting_one_heap_changes_no_other),
        IN_FRESH_DIRECTORY(the_newest_block_grows_in_place_after_another_heap_was_used),
    };
    return cmocka_run_group_tests_name("many_heaps", tests, NULL, NULL);
}
