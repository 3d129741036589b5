/* What <filz/hooks.h> promises of a block that is resized, whatever library calls it. */
#include "hook_heap.h"

/* Whether it holds what `fill` has written to the first bytes of it. */
static bool is_whole(const unsigned char *block, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        if (block[i] != (unsigned char)(seed + i * 7))
            return false;
    return true;
}

static void fill(unsigned char *block, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        block[i] = (unsigned char)(seed + i * 7);
}

/* The first block of a chunk has padding before its size; it needs none where it moves to. */
static void a_block_that_moves_takes_no_more_than_a_new_one(void **state)
{
    (void)state;
    char *first = hook_malloc(1);
    assert_non_null(hook_malloc(1));
    size_t before = used();
    first = hook_realloc(first, 100);
    check_block(first, 100);
    check_block(hook_malloc(100), 100);
    assert_int_equal(used() - before, 2 * 112);
}

static void the_newest_block_grows_and_shrinks_where_it_stands(void **state)
{
    (void)state;
    unsigned char *block = hook_malloc(1);
    size_t before = used() - 16;
    fill(block, 1, 0);
    for (size_t size = 2; size <= 4 * MIB; size += 1 + size / 4) {
        unsigned char *grown = hook_realloc(block, size);
        assert_ptr_equal(grown, block);
        assert_true(is_whole(block, 1, 0));
    }
    assert_ptr_equal(hook_realloc(block, 40), block);
    assert_true(used() - before <= 64);
    check_block(block, 40);

    block = filz_context_malloc(&heap, 1);
    for (size_t size = 2, old = 1; size <= 4 * MIB; old = size, size += 1 + size / 4)
        assert_ptr_equal(filz_context_realloc(&heap, block, old, size), block);
}

static void an_older_block_keeps_its_address_when_it_shrinks(void **state)
{
    (void)state;
    for (size_t size = 1; size < 300 * KIB; size += 1 + size / 2) {
        char *block = hook_malloc(size), *other = filz_context_malloc(&heap, size);
        assert_non_null(hook_malloc(1));
        assert_ptr_equal(hook_realloc(block, 1 + size / 2), block);
        check_block(block, 1 + size / 2);
        assert_ptr_equal(filz_context_realloc(&heap, other, size, 1 + size / 2), other);
    }
}

static void realloc_of_size_0_frees_and_of_NULL_allocates(void **state)
{
    (void)state;
    char *block = hook_malloc(10);
    assert_null(hook_realloc(block, 0));
    check_block(hook_realloc(NULL, 100), 100);
    assert_null(filz_context_realloc(&heap, block, 10, 0));
    assert_null(filz_context_realloc(&heap, NULL, 0, 0));
    assert_true(is_aligned(filz_context_realloc(&heap, NULL, 6, 100), 16)); /* Lua: 6 is what it is for */
    hook_free(block);
    hook_free(NULL);
    filz_context_free(&heap, block);
    filz_context_free(&heap, NULL);
}

struct held {
    unsigned char *block;
    size_t size;
    unsigned seed;
    bool by_context;
};

static size_t random_of(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(*state >> 33);
}

/* Small sizes most of the time; some that have dedicated chunks. */
static size_t random_size(uint64_t *random)
{
    size_t kind = random_of(random) % 64;
    return 1 + random_of(random) % (kind == 0 ? 300 * KIB : kind < 8 ? 5000 : 200);
}

/* Returns what is wrong with it, or NULL. A block of NULL was reset, or the heap is full. */
static const char *resize(struct held *held, uint64_t *random)
{
    size_t size = random_size(random), both = size < held->size ? size : held->size;
    unsigned char *block =
        held->by_context ? filz_context_realloc(&heap, held->block, held->size, size) : hook_realloc(held->block, size);
    if (block == NULL)
        return "the heap is full";
    if (!is_aligned(block, 16))
        return "a block isn't aligned";
    if (!is_whole(block, both, held->seed))
        return "realloc hasn't kept the contents";
    if (!held->by_context && hook_usable_size(block) != hook_good_size(size))
        return "a block has another size";
    *held = (struct held){block, size, (unsigned)random_of(random), held->by_context};
    fill(block, size, held->seed);
    return NULL;
}

enum { HELD = 100, STEPS = 3000 };

struct worker {
    unsigned number;
    const char *wrong;
};

/* Each thread resizes blocks, its own ones, at random, and looks after each step at one, in the end at all. */
static void *resize_blocks(void *argument)
{
    struct worker *worker = argument;
    struct held held[HELD] = {{0}};
    uint64_t random = worker->number;
    for (size_t i = 0; i < HELD; i++)
        held[i].by_context = i % 3 == 0;
    for (size_t step = 0; step < STEPS && worker->wrong == NULL; step++) {
        worker->wrong = resize(&held[random_of(&random) % HELD], &random);
        if (random_of(&random) % 8 == 0 && filz_mmap_alloc(&heap, 1 + random_of(&random) % 30, 1) == NULL)
            worker->wrong = "the heap is full";
    }
    for (size_t i = 0; i < HELD && worker->wrong == NULL; i++)
        if (held[i].block != NULL && !is_whole(held[i].block, held[i].size, held[i].seed))
            worker->wrong = "a block has what another has written";
    return NULL;
}

static void blocks_of_many_threads_are_whole_after_random_reallocs(void **state)
{
    (void)state;
    size_t rounds = rounds_of(100);
    for (size_t round = 0; round < rounds; round++) {
        struct worker workers[4] = {{0}};
        assert_int_equal(filz_mmap_close(&heap), 0);
        heap = (filz_mmap){.capacity = sizeof(size_t) == 4 ? 256 * MIB : 1024 * MIB};
        for (unsigned i = 0; i < COUNT(workers); i++)
            workers[i].number = (unsigned)round * 100 + i;
        in_threads(COUNT(workers), resize_blocks, workers, sizeof(workers[0]));
        for (size_t i = 0; i < COUNT(workers); i++)
            if (workers[i].wrong != NULL)
                fail_msg("round %zu: %s", round, workers[i].wrong);
    }
    print_message("%zu rounds of 4 threads, %d reallocs each\n", rounds, STEPS);
}

static void a_block_of_a_persistent_heap_grows_in_a_later_run(void **state)
{
    (void)state;
    heap = (filz_mmap){.path = "hooks.filz", .flags = FILZ_MMAP_PERSISTENT, .capacity = CAPACITY};
    unsigned char *first = hook_malloc(100);
    assert_non_null(first);
    fill(first, 100, 1);
    assert_int_equal(filz_mmap_set_root(&heap, first), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);

    assert_int_equal(filz_mmap_open(&heap), 0);
    unsigned char *found = filz_mmap_root(&heap);
    assert_ptr_equal(found, first);
    assert_true(hook_usable_size(found) >= 100);
    assert_non_null(hook_malloc(1));
    found = hook_realloc(found, 1000);
    assert_true(is_whole(found, 100, 1));
    check_block(found, 1000);
    assert_int_equal(filz_mmap_close(&heap), 0);

    heap.flags = FILZ_MMAP_READ_ONLY;
    assert_int_equal(filz_mmap_open(&heap), 0);
    errno = 0;
    assert_null(hook_malloc(1));
    assert_int_equal(errno, EROFS);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_HEAP(a_block_that_moves_takes_no_more_than_a_new_one),
        ON_HEAP(the_newest_block_grows_and_shrinks_where_it_stands),
        ON_HEAP(an_older_block_keeps_its_address_when_it_shrinks),
        ON_HEAP(realloc_of_size_0_frees_and_of_NULL_allocates),
        ON_HEAP(blocks_of_many_threads_are_whole_after_random_reallocs),
        IN_FRESH_DIRECTORY(a_block_of_a_persistent_heap_grows_in_a_later_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
