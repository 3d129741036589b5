/* Random operations against a model that knows every live block: none overlaps another, all are aligned, and what was
 * written stays. FILZ_TEST_SEED repeats a run. */
#include "support.h"

enum { MOST_BLOCKS = 256, THREADS = 4 };

struct block {
    unsigned char *at;
    size_t size, align;
    unsigned char seed;
};

struct model {
    struct heap *heap;
    uint64_t random;
    size_t rounds;
    size_t count;
    struct block blocks[MOST_BLOCKS];
    const char *wrong; /* the first thing that wasn't as it should be */
};

/* xorshift64*: G. Marsaglia, "Xorshift RNGs", 2003; S. Vigna, 2016. */
static size_t draw(struct model *model, size_t below)
{
    model->random ^= model->random >> 12;
    model->random ^= model->random << 25;
    model->random ^= model->random >> 27;
    return (size_t)((model->random * 0x2545F4914F6CDD1D) >> 33) % below;
}

static void claim(struct model *model, bool so, const char *what)
{
    if (!so && model->wrong == NULL)
        model->wrong = what;
}

/* Mostly small, sometimes more than a chunk. */
static size_t draw_size(struct model *model)
{
    static const size_t most[] = {4, 64, 64, 64, 512, 4 * KIB};
    return draw(model, draw(model, 100) ? most[draw(model, COUNT(most))] : 400 * KIB);
}

static size_t draw_align(struct model *model)
{
    return (size_t)1 << (draw(model, 20) ? draw(model, 7) : draw(model, 15));
}

static unsigned char byte_at(const struct block *block, size_t i)
{
    return (unsigned char)(block->seed + i * 7);
}

static void fill(struct model *model, struct block *block)
{
    block->seed = (unsigned char)draw(model, 256);
    for (size_t i = 0; i < block->size; i++)
        block->at[i] = byte_at(block, i);
}

static bool is_intact(const struct block *block, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (block->at[i] != byte_at(block, i))
            return false;
    return true;
}

/* A block of size 0 has an address of its own, as one of size 1 has. */
static bool overlap(const struct block *a, const struct block *b)
{
    size_t a_size = a->size ? a->size : 1, b_size = b->size ? b->size : 1;
    return a->at < b->at + b_size && b->at < a->at + a_size;
}

static void check_place(struct model *model, const struct block *block)
{
    claim(model, is_aligned(block->at, block->align), "a block isn't aligned");
    claim(model, heap_owns(model->heap, block->at), "the heap doesn't own its block");
    claim(model, block->size == 0 || heap_owns(model->heap, block->at + block->size - 1), "a block leaves its heap");
    for (size_t i = 0; i < model->count; i++)
        claim(model, &model->blocks[i] == block || !overlap(&model->blocks[i], block), "two blocks overlap");
}

static void check_all(struct model *model)
{
    for (size_t i = 0; i < model->count; i++)
        claim(model, is_intact(&model->blocks[i], model->blocks[i].size), "a block's contents changed");
}

/* The model forgets a block: it lives on, but is looked at no more. */
static void forget(struct model *model, size_t i)
{
    heap_dealloc(model->heap, model->blocks[i].at, model->blocks[i].size, model->blocks[i].align);
    model->blocks[i] = model->blocks[--model->count];
}

static void try_alloc(struct model *model)
{
    if (model->count == MOST_BLOCKS)
        forget(model, draw(model, MOST_BLOCKS));
    struct block block = {.size = draw_size(model), .align = draw_align(model)};
    bool zeroed = draw(model, 2);
    block.at = zeroed ? heap_alloc_zeroed(model->heap, block.size, block.align)
                      : heap_alloc(model->heap, block.size, block.align);
    if (block.at == NULL) {
        claim(model, errno == ENOMEM, "a failed alloc didn't say ENOMEM");
        return;
    }
    claim(model, !zeroed || is_filled(block.at, 0, block.size), "a zeroed block isn't zero");
    check_place(model, &block);
    fill(model, &block);
    model->blocks[model->count++] = block;
}

static void try_realloc(struct model *model)
{
    if (model->count == 0)
        return;
    /* Often the newest, the one that can grow where it stands. */
    struct block *block = &model->blocks[draw(model, 2) ? model->count - 1 : draw(model, model->count)];
    size_t new_size = draw_size(model);
    unsigned char *at = heap_realloc(model->heap, block->at, block->size, block->align, new_size);
    if (at == NULL) {
        claim(model, new_size > block->size && errno == ENOMEM, "a realloc failed that should not have");
        claim(model, is_intact(block, block->size), "a failed realloc changed its block");
        return;
    }
    claim(model, new_size > block->size || at == block->at, "a block moved as it shrank");
    block->at = at;
    claim(model, is_intact(block, new_size < block->size ? new_size : block->size), "realloc lost contents");
    block->size = new_size;
    check_place(model, block);
    fill(model, block);
}

/* What can't succeed must take nothing; the next check of all blocks tells if it did. */
static void try_impossible(struct model *model)
{
    size_t used = heap_used(model->heap);
    claim(model, heap_alloc(model->heap, SIZE_MAX - draw(model, 100000), draw_align(model)) == NULL, "too much fit");
    claim(model, heap_alloc(model->heap, draw_size(model), 3) == NULL, "an alignment of 3 was taken");
    claim(model, heap_used(model->heap) == used, "a failed request took something");
}

static void rewind_to(struct model *model, size_t mark)
{
    const unsigned char *end = (unsigned char *)(model->heap->stack + 1) + mark;
    filz_stack_rewind(model->heap->stack, mark);
    for (size_t i = model->count; i-- > 0;)
        if (model->blocks[i].at + model->blocks[i].size >= end)
            model->blocks[i] = model->blocks[--model->count];
}

/* Only where one thread has the heap for itself. */
static void reset_or_rewind(struct model *model)
{
    check_all(model);
    if (model->heap->stack && draw(model, 4)) {
        rewind_to(model, draw(model, filz_stack_mark(model->heap->stack) + 1));
        return;
    }
    heap_reset(model->heap);
    model->count = 0;
}

static void step(struct model *model)
{
    size_t kind = draw(model, 100);
    if (kind < 60)
        try_alloc(model);
    else if (kind < 90)
        try_realloc(model);
    else if (kind < 92)
        check_all(model);
}

static void run_alone(struct heap *heap, uint64_t seed)
{
    static struct model model;
    model = (struct model){.heap = heap, .random = seed, .rounds = rounds_of(50000)};
    for (size_t round = 0; round < model.rounds && model.wrong == NULL; round++) {
        step(&model);
        if (draw(&model, 50) == 0)
            try_impossible(&model);
        if (draw(&model, 400) == 0)
            reset_or_rewind(&model);
        if (model.wrong)
            fail_msg("seed %#llx, round %zu: %s", (unsigned long long)seed, round, model.wrong);
    }
    check_all(&model);
    assert_null(model.wrong);
    print_message("seed %#llx, %zu rounds\n", (unsigned long long)seed, model.rounds);
    free_heap(heap);
}

static void random_operations_on_a_stack_match_the_model(void **state)
{
    (void)state;
    run_alone(new_stack_heap(2 * MIB), from_environment("FILZ_TEST_SEED", 0xF112));
    run_alone(new_stack_heap(1000), from_environment("FILZ_TEST_SEED", 0xF113));
}

static void random_operations_on_a_mapped_heap_match_the_model(void **state)
{
    (void)state;
    run_alone(new_mmap_heap(8 * MIB), from_environment("FILZ_TEST_SEED", 0xF114));
    run_alone(new_mmap_heap(256 * KIB), from_environment("FILZ_TEST_SEED", 0xF115));
}

static void *work(void *argument)
{
    struct model *model = argument;
    for (size_t round = 0; round < model->rounds && model->wrong == NULL; round++)
        step(model);
    check_all(model);
    return NULL;
}

static int by_address(const void *left, const void *right)
{
    const struct block *a = left, *b = right;
    return (a->at > b->at) - (a->at < b->at);
}

static void check_across(const struct model *models)
{
    static struct block all[THREADS * MOST_BLOCKS];
    size_t count = 0;
    for (size_t i = 0; i < THREADS; i++) {
        memcpy(all + count, models[i].blocks, models[i].count * sizeof(*all));
        count += models[i].count;
    }
    qsort(all, count, sizeof(*all), by_address);
    for (size_t i = 1; i < count; i++)
        assert_false(overlap(&all[i - 1], &all[i]));
}

/* After each phase every thread goes on with the blocks of another. */
static void hand_on(struct model *models)
{
    static struct block spare[MOST_BLOCKS];
    size_t count = models[0].count;
    memcpy(spare, models[0].blocks, sizeof(spare));
    for (size_t i = 0; i + 1 < THREADS; i++) {
        memcpy(models[i].blocks, models[i + 1].blocks, sizeof(spare));
        models[i].count = models[i + 1].count;
    }
    memcpy(models[THREADS - 1].blocks, spare, sizeof(spare));
    models[THREADS - 1].count = count;
}

static void run_threads(struct heap *heap, uint64_t seed)
{
    static struct model models[THREADS];
    pthread_t threads[THREADS];
    size_t phases = 8, rounds = rounds_of(20000) / phases;
    for (size_t i = 0; i < THREADS; i++)
        models[i] = (struct model){.heap = heap, .random = seed + i, .rounds = rounds};
    for (size_t phase = 0; phase < phases; phase++) {
        for (size_t i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, work, &models[i]), 0);
        for (size_t i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (size_t i = 0; i < THREADS; i++)
            if (models[i].wrong)
                fail_msg("seed %#llx, phase %zu: %s", (unsigned long long)seed, phase, models[i].wrong);
        check_across(models);
        hand_on(models);
        if (phase % 3 == 2) {
            heap_reset(heap);
            for (size_t i = 0; i < THREADS; i++)
                models[i].count = 0;
        }
    }
    print_message("seed %#llx, %d threads, %zu rounds each\n", (unsigned long long)seed, THREADS, phases * rounds);
    free_heap(heap);
}

static void threads_on_a_stack_match_the_model(void **state)
{
    (void)state;
    run_threads(new_stack_heap(16 * MIB), from_environment("FILZ_TEST_SEED", 0xF116));
}

static void threads_on_a_mapped_heap_match_the_model(void **state)
{
    (void)state;
    run_threads(new_mmap_heap(64 * MIB), from_environment("FILZ_TEST_SEED", 0xF117));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(random_operations_on_a_stack_match_the_model),
        IN_FRESH_DIRECTORY(random_operations_on_a_mapped_heap_match_the_model),
        IN_FRESH_DIRECTORY(threads_on_a_stack_match_the_model),
        IN_FRESH_DIRECTORY(threads_on_a_mapped_heap_match_the_model),
    };
    return cmocka_run_group_tests_name("random_operations", tests, NULL, NULL);
}
