/* What a realloc that moves a block leaves, and a later one uses again; and the heaps in which it doesn't. */
#include "clones.h"
#include "forks.h"
#include "threads.h"

enum { SIZE = 1024 };

/* A block of `size` bytes that can't grow where it stands. */
static char *surrounded(filz_mmap *heap, size_t size)
{
    char *block = filz_mmap_alloc(heap, size, 8);
    assert_non_null(block);
    memset(block, 'b', size);
    assert_non_null(filz_mmap_alloc(heap, 8, 8));
    return block;
}

/* It is moved, whole, and something is allocated after it. */
static char *grow(filz_mmap *heap, char *block, size_t size, size_t new_size)
{
    char *grown = filz_mmap_realloc(heap, block, size, 8, new_size);
    assert_non_null(grown);
    assert_ptr_not_equal(grown, block);
    assert_true(is_filled(grown, 'b', size));
    assert_non_null(filz_mmap_alloc(heap, 8, 8));
    return grown;
}

static bool is_within(const char *block, const char *start, size_t size)
{
    return (uintptr_t)block - (uintptr_t)start < size;
}

/* Whether a block that grows to SIZE goes to where one of SIZE bytes was. */
static bool uses_again(filz_mmap *heap)
{
    char *left = surrounded(heap, SIZE);
    char *small = surrounded(heap, SIZE / 2);
    char *moved = grow(heap, left, SIZE, 2 * SIZE);
    memset(moved, 'm', 2 * SIZE);
    char *grown = grow(heap, small, SIZE / 2, SIZE);
    memset(grown, 'g', SIZE);
    assert_true(is_filled(moved, 'm', 2 * SIZE));
    return grown == left;
}

/* -- In a heap of its own ------------------------------------------------------------------------------------------ */

static void what_a_block_leaves_when_it_moves_is_used_by_the_next_that_moves(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    assert_true(uses_again(&heap));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void neither_alloc_nor_a_second_realloc_gets_what_one_has_got(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    char *left = surrounded(&heap, SIZE), *a = surrounded(&heap, SIZE / 2), *b = surrounded(&heap, SIZE / 2);
    grow(&heap, left, SIZE, 2 * SIZE);
    assert_false(is_within(filz_mmap_alloc(&heap, SIZE, 8), left, SIZE));
    assert_false(is_within(filz_mmap_alloc_zeroed(&heap, SIZE, 8), left, SIZE));
    assert_ptr_equal(grow(&heap, a, SIZE / 2, SIZE), left);
    assert_false(is_within(grow(&heap, b, SIZE / 2, SIZE), left, SIZE));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void blocks_that_are_left_side_by_side_have_room_for_a_larger_one(void **state)
{
    (void)state;
    static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {2, 0, 1}};
    for (size_t i = 0; i < COUNT(orders); i++) {
        filz_mmap heap = {.capacity = MIB};
        char *blocks = filz_mmap_alloc(&heap, 3 * SIZE, 8); /* as three are that are allocated in turn */
        memset(blocks, 'b', 3 * SIZE);
        char *other = surrounded(&heap, SIZE);
        for (size_t j = 0; j < 3; j++)
            grow(&heap, blocks + orders[i][j] * SIZE, SIZE, 8 * SIZE);
        assert_ptr_equal(grow(&heap, other, SIZE, 3 * SIZE), blocks);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

static void a_block_goes_to_the_smallest_place_that_has_room(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    static const size_t sizes[] = {4 * SIZE, 2 * SIZE, SIZE, 3 * SIZE};
    char *left[COUNT(sizes)], *small = surrounded(&heap, SIZE / 2);
    for (size_t i = 0; i < COUNT(sizes); i++)
        left[i] = surrounded(&heap, sizes[i]);
    for (size_t i = 0; i < COUNT(sizes); i++)
        grow(&heap, left[i], sizes[i], 8 * SIZE);
    assert_ptr_equal(grow(&heap, small, SIZE / 2, SIZE + 1), left[1]);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void what_a_block_has_no_use_for_is_left_for_others(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    char *left = surrounded(&heap, 4 * SIZE), *a = surrounded(&heap, SIZE / 2), *b = surrounded(&heap, SIZE / 2);
    grow(&heap, left, 4 * SIZE, 8 * SIZE);
    assert_ptr_equal(grow(&heap, a, SIZE / 2, SIZE + 3), left);
    assert_ptr_equal(filz_mmap_realloc(&heap, b, SIZE / 2, 1, SIZE), left + SIZE + 3);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_block_is_aligned_wherever_it_goes(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 4096; align *= 2) {
        filz_mmap heap = {.capacity = MIB};
        char *left = surrounded(&heap, 16 * SIZE);
        grow(&heap, left, 16 * SIZE, 32 * SIZE);
        for (size_t i = 0; i < 3; i++) {
            char *block = filz_mmap_alloc(&heap, SIZE, align);
            assert_non_null(filz_mmap_alloc(&heap, 8, 8));
            char *grown = filz_mmap_realloc(&heap, block, SIZE, align, 2 * SIZE + 1);
            assert_true(is_within(grown, left, 16 * SIZE) && is_within(grown + 2 * SIZE, left, 16 * SIZE));
            assert_true(is_aligned(grown, align));
        }
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

static void statistics_and_errno_stay_where_a_block_goes_to_what_another_has_left(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    char *left = surrounded(&heap, SIZE), *small = surrounded(&heap, SIZE / 2);
    grow(&heap, left, SIZE, 2 * SIZE);
    filz_mmap_info before = stats_of(&heap);
    errno = 77;
    assert_ptr_equal(filz_mmap_realloc(&heap, small, SIZE / 2, 8, SIZE), left);
    assert_int_equal(errno, 77);
    filz_mmap_info after = stats_of(&heap);
    assert_int_equal(after.used, before.used);
    assert_int_equal(after.blocks, before.blocks);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_full_heap_grows_blocks_into_what_others_have_left(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 256 * KIB};
    char *left = surrounded(&heap, SIZE), *first = surrounded(&heap, SIZE / 2), *second = surrounded(&heap, SIZE / 2);
    char *third = surrounded(&heap, SIZE / 4), *fourth = surrounded(&heap, SIZE / 4);
    grow(&heap, left, SIZE, 2 * SIZE);
    while (filz_mmap_alloc(&heap, 8, 8) != NULL) {
    }
    assert_null(filz_mmap_realloc(&heap, first, SIZE / 2, 8, 2 * SIZE));
    assert_true(is_filled(first, 'b', SIZE / 2));
    char *grown = filz_mmap_realloc(&heap, second, SIZE / 2, 8, SIZE);
    assert_ptr_equal(grown, left);
    assert_ptr_equal(filz_mmap_realloc(&heap, third, SIZE / 4, 8, SIZE / 2), second);
    assert_null(filz_mmap_realloc(&heap, fourth, SIZE / 4, 8, SIZE / 2)); /* not to where the first is */
    assert_true(is_filled(first, 'b', SIZE / 2) && is_filled(grown, 'b', SIZE / 2));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_reset_forgets_what_was_left(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    char *left = surrounded(&heap, SIZE);
    grow(&heap, left, SIZE, 2 * SIZE);
    assert_int_equal(filz_mmap_reset(&heap), 0);
    char *all = filz_mmap_alloc(&heap, 8 * SIZE, 8), *small = surrounded(&heap, SIZE / 2);
    assert_true(is_within(left, all, 8 * SIZE));
    assert_false(is_within(grow(&heap, small, SIZE / 2, SIZE), all, 8 * SIZE));
    assert_true(uses_again(&heap));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- How much it saves --------------------------------------------------------------------------------------------- */

enum { MOST_ARRAYS = 1000 };

/* Doubles each of the arrays in turn, from 32 bytes to `size`. Returns what is allocated for a byte of theirs. */
static double taken_by(size_t count, size_t size)
{
    static char *arrays[MOST_ARRAYS];
    filz_mmap heap = {.capacity = 64 * MIB};
    for (size_t i = 0; i < count; i++)
        arrays[i] = memset(filz_mmap_alloc(&heap, 32, 8), (int)(i % 255), 32);
    for (size_t now = 32; now < size; now *= 2)
        for (size_t i = 0; i < count; i++) {
            arrays[i] = filz_mmap_realloc(&heap, arrays[i], now, 8, 2 * now);
            memset(arrays[i], (int)(i % 255), 2 * now);
        }
    for (size_t i = 0; i < count; i++)
        assert_true(is_filled(arrays[i], (int)(i % 255), size));
    filz_mmap_info info = stats_of(&heap);
    double taken = (double)(info.used - info.page_size) / (double)(count * size); /* without the heap's header */
    assert_int_equal(filz_mmap_close(&heap), 0);
    return taken;
}

static void arrays_that_grow_in_turn_take_little_more_than_their_size(void **state)
{
    (void)state;
    static const size_t counts[] = {7, 100, MOST_ARRAYS};
    for (size_t i = 0; i < COUNT(counts); i++) {
        double taken = taken_by(counts[i], 8 * MIB / counts[i] > 16 * KIB ? 64 * KIB : 8 * KIB);
        print_message("%zu arrays: %.2f of their size\n", counts[i], taken);
        assert_true(taken < 1.25);
    }
}

/* -- Heaps whose old contents somebody may need -------------------------------------------------------------------- */

static void check_that_old_blocks_stay(unsigned flags)
{
    filz_mmap heap = {.path = "kept.filz", .capacity = MIB, .flags = flags};
    assert_int_equal(filz_mmap_open(&heap), 0);
    char *left = surrounded(&heap, SIZE), *small = surrounded(&heap, SIZE / 2);
    grow(&heap, left, SIZE, 2 * SIZE);
    grow(&heap, small, SIZE / 2, SIZE);
    assert_true(is_filled(left, 'b', SIZE) && is_filled(small, 'b', SIZE / 2));
    assert_false(uses_again(&heap));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_persistent_heap_leaves_old_blocks_as_they_were(void **state)
{
    (void)state;
    check_that_old_blocks_stay(FILZ_MMAP_PERSISTENT);
}

static void so_does_a_shared_one(void **state)
{
    (void)state;
    NEED_LINUX("lock for a writer beside readers");
    check_that_old_blocks_stay(FILZ_MMAP_SHARED);
}

static void a_heap_that_was_synced_leaves_old_blocks_as_they_were_until_it_is_reset(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "synced.filz", .capacity = MIB};
    assert_true(uses_again(&heap));
    char *left = surrounded(&heap, SIZE), *small = surrounded(&heap, SIZE / 2);
    grow(&heap, left, SIZE, 2 * SIZE);
    assert_int_equal(filz_mmap_sync(&heap), 0);
    assert_false(is_within(grow(&heap, small, SIZE / 2, SIZE), left, SIZE));
    assert_false(uses_again(&heap));
    assert_int_equal(filz_mmap_reset(&heap), 0);
    assert_true(uses_again(&heap));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

struct family {
    filz_mmap heap;
    char *left, *small, *other;
};

static struct family new_family(void)
{
    struct family family = {.heap = {.capacity = MIB}};
    family.left = surrounded(&family.heap, SIZE);
    family.small = surrounded(&family.heap, SIZE / 2);
    family.other = surrounded(&family.heap, SIZE / 2);
    grow(&family.heap, family.left, SIZE, 2 * SIZE);
    return family;
}

/* Another thread of the parent's may have been noting what it left when it forked. */
static int begins_with_nothing(void *context)
{
    struct family *family = context;
    filz_mmap *heap = &family->heap;
    EXPECT(is_filled(family->small, 'b', SIZE / 2));
    char *grown = filz_mmap_realloc(heap, family->small, SIZE / 2, 8, SIZE);
    EXPECT(grown && is_filled(grown, 'b', SIZE / 2) && !is_within(grown, family->left, SIZE));
    EXPECT(filz_mmap_alloc(heap, 8, 8) != NULL);
    grown = filz_mmap_realloc(heap, grown, SIZE, 8, 2 * SIZE);
    EXPECT(grown && is_filled(grown, 'b', SIZE / 2));
    char *other = filz_mmap_realloc(heap, family->other, SIZE / 2, 8, SIZE);
    EXPECT(other && is_filled(other, 'b', SIZE / 2) && other + SIZE != family->other);
    memset(other, 'o', SIZE);
    EXPECT(is_filled(grown, 'b', SIZE / 2));
    return 0;
}

static void parent_and_child_use_again_what_each_has_left(void **state)
{
    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        struct family family = new_family();
        pid_t child = begin_child_with(way, begins_with_nothing, &family);
        char *grown = grow(&family.heap, family.small, SIZE / 2, SIZE);
        assert_int_equal(grown == family.left, way == BY_COPY); /* else the child has it mapped */
        memset(grown, 'p', SIZE);
        assert_int_equal(end_child(child), 0);
        assert_int_equal(uses_again(&family.heap), way == BY_COPY);
        assert_int_equal(filz_mmap_reset(&family.heap), 0);
        assert_true(uses_again(&family.heap));
        assert_int_equal(filz_mmap_close(&family.heap), 0);
    }
}

static int touches_nothing(struct family *family)
{
    char *grown = filz_mmap_realloc(&family->heap, family->small, SIZE / 2, 8, SIZE);
    EXPECT(grown == NULL || !is_within(grown, family->left, SIZE));
    char *other = filz_mmap_realloc(&family->heap, family->other, SIZE / 2, 8, SIZE / 2 + 8);
    EXPECT(other == NULL || !is_within(other, family->small, SIZE / 2));
    return 0;
}

static void a_child_without_handlers_uses_nothing_of_its_parents_again(void **state)
{
    (void)state;
    NEED_WIPED_PAGES();
    struct family family = new_family();
    pid_t child = clone_without_handlers();
    if (child == 0)
        _exit(touches_nothing(&family));
    assert_int_equal(end_child(child), 0);
    assert_true(is_filled(family.small, 'b', SIZE / 2) && is_filled(family.other, 'b', SIZE / 2));
    assert_ptr_equal(grow(&family.heap, family.small, SIZE / 2, SIZE), family.left);
    assert_int_equal(filz_mmap_close(&family.heap), 0);
}

/* -- Threads ------------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, ARRAYS = 20, MOST_WORDS = 64 * 1024 };

struct worker {
    filz_mmap *heap;
    size_t *arrays[ARRAYS], lengths[ARRAYS], number;
};

/* Each word says whose it is. */
static bool push(struct worker *worker, size_t array)
{
    size_t length = worker->lengths[array]++, *words = worker->arrays[array];
    size_t bytes = length * sizeof(*words);
    if (length == 0 || (length >= 16 && (length & (length - 1)) == 0))
        words = filz_mmap_realloc(worker->heap, words, bytes, sizeof(*words),
                                  length == 0 ? 16 * sizeof(*words) : 2 * bytes);
    if (words == NULL)
        return false;
    words[length] = (worker->number * ARRAYS + array) * MOST_WORDS + length;
    worker->arrays[array] = words;
    return true;
}

static void *grow_arrays(void *context)
{
    struct worker *worker = context;
    for (size_t i = 0; i < ARRAYS * rounds_of(MOST_WORDS); i++)
        if (!push(worker, (i * i + i / 7) % ARRAYS))
            return NULL;
    return NULL;
}

static void threads_that_grow_arrays_never_share_a_byte(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 512 * MIB};
    static struct worker workers[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        workers[i] = (struct worker){.heap = &heap, .number = i};
    in_threads(THREADS, grow_arrays, workers, sizeof(*workers));
    size_t words = 0;
    for (size_t i = 0; i < THREADS; i++)
        for (size_t j = 0; j < ARRAYS; j++)
            for (size_t k = 0; k < workers[i].lengths[j]; k++, words++)
                assert_int_equal(workers[i].arrays[j][k], (i * ARRAYS + j) * MOST_WORDS + k);
    assert_int_equal(words, THREADS * ARRAYS * rounds_of(MOST_WORDS));
    print_message("%zu words pushed by %d threads\n", words, THREADS);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(what_a_block_leaves_when_it_moves_is_used_by_the_next_that_moves),
        IN_FRESH_DIRECTORY(neither_alloc_nor_a_second_realloc_gets_what_one_has_got),
        IN_FRESH_DIRECTORY(blocks_that_are_left_side_by_side_have_room_for_a_larger_one),
        IN_FRESH_DIRECTORY(a_block_goes_to_the_smallest_place_that_has_room),
        IN_FRESH_DIRECTORY(what_a_block_has_no_use_for_is_left_for_others),
        IN_FRESH_DIRECTORY(a_block_is_aligned_wherever_it_goes),
        IN_FRESH_DIRECTORY(statistics_and_errno_stay_where_a_block_goes_to_what_another_has_left),
        IN_FRESH_DIRECTORY(a_full_heap_grows_blocks_into_what_others_have_left),
        IN_FRESH_DIRECTORY(a_reset_forgets_what_was_left),
        IN_FRESH_DIRECTORY(arrays_that_grow_in_turn_take_little_more_than_their_size),
        IN_FRESH_DIRECTORY(a_persistent_heap_leaves_old_blocks_as_they_were),
        IN_FRESH_DIRECTORY(so_does_a_shared_one),
        IN_FRESH_DIRECTORY(a_heap_that_was_synced_leaves_old_blocks_as_they_were_until_it_is_reset),
        IN_FRESH_DIRECTORY(parent_and_child_use_again_what_each_has_left),
        IN_FRESH_DIRECTORY(a_child_without_handlers_uses_nothing_of_its_parents_again),
        IN_FRESH_DIRECTORY(threads_that_grow_arrays_never_share_a_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
