/* What AddressSanitizer sees within a heap: a child that touches what isn't allocated is ended by it. Without
 * AddressSanitizer nothing is looked at. */
#include "clones.h"

#include "../../../c/chunk.h"

FILZ_STACK(scratch, 4097)

enum { MUST_BE_CAUGHT = 42 };

static filz_mmap mapped;

/* The byte is accessed by a child. Whether AddressSanitizer ended it, for this reason. */
static __attribute__((noinline)) _Noreturn void touch(const void *address)
{
    signal(SIGSEGV, SIG_DFL); /* cmocka's goes on with the next test */
    const char *volatile hidden = address;
    *(const volatile char *)hidden;
    _exit(MUST_BE_CAUGHT);
}

static bool is_caught(const void *address)
{
    char report[16 * KIB];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int standard_error = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    pid_t child = clone_without_handlers(); /* so it is the parent's heap */
    if (child == 0)
        touch(address);
    dup2(standard_error, STDERR_FILENO);
    close(standard_error);
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], report + length, sizeof(report) - 1 - length)) > 0)
        length += (size_t)got;
    report[length] = '\0';
    close(ends[0]);
    int status = end_child(child);
    if (status != MUST_BE_CAUGHT && strstr(report, "use-after-poison") == NULL)
        fail_msg("status %d: %s", status, report);
    return status != MUST_BE_CAUGHT;
}

static void need_asan(void)
{
    if (!SANITIZED_FOR_ADDRESSES)
        skip();
}

/* --- the same of both --- */

static void read_past_blocks(struct heap *heap)
{
    char *first = heap_alloc(heap, 24, 8), *second = heap_alloc(heap, 100, 8);
    memset(first, 1, 24);
    memset(second, 2, 100);
    assert_false(is_caught(first));
    assert_false(is_caught(first + 23));
    assert_false(is_caught(second + 99));
    assert_true(is_caught(second + 104));
    assert_true(is_caught(second + 500));
    char *aligned = heap_alloc(heap, 10, 256);
    assert_true(is_caught(aligned - 1)); /* the padding */
    assert_false(is_caught(aligned + 9));
}

static void shrink_and_grow(struct heap *heap)
{
    char *block = heap_alloc(heap, 200, 8);
    assert_ptr_equal(heap_realloc(heap, block, 200, 8, 100), block);
    assert_false(is_caught(block + 99));
    assert_true(is_caught(block + 104));
    assert_ptr_equal(heap_realloc(heap, block, 100, 8, 150), block);
    assert_false(is_caught(block + 149));
    assert_true(is_caught(block + 160));
    heap_alloc(heap, 1, 1);
    assert_ptr_equal(heap_realloc(heap, block, 150, 8, 50), block); /* isn't the newest */
    assert_false(is_caught(block + 49));
    assert_true(is_caught(block + 56));
}

static void reset_and_go_on(struct heap *heap)
{
    char *block = heap_alloc(heap, 300, 8);
    heap_reset(heap);
    assert_true(is_caught(block));
    assert_true(is_caught(block + 299));
    char *again = heap_alloc_zeroed(heap, 100, 8);
    assert_ptr_equal(again, block);
    assert_true(is_filled(again, 0, 100));
    assert_false(is_caught(again + 99));
    assert_true(is_caught(again + 104));
}

static void with_each(void (*test)(struct heap *))
{
    need_asan();
    struct heap *heaps[] = {new_stack_heap(64 * KIB), new_mmap_heap(0)};
    for (size_t i = 0; i < COUNT(heaps); i++) {
        test(heaps[i]);
        free_heap(heaps[i]);
    }
}

static void reading_past_a_block_is_caught(void **state)
{
    (void)state;
    with_each(read_past_blocks);
}

static void what_a_shrink_gives_back_is_caught_until_it_is_allocated_again(void **state)
{
    (void)state;
    with_each(shrink_and_grow);
}

static void what_a_reset_ended_is_caught_until_it_is_allocated_again(void **state)
{
    (void)state;
    with_each(reset_and_go_on);
}

/* --- mmap --- */

static void a_block_of_a_mapped_heap_ends_at_its_last_byte(void **state)
{
    (void)state;
    need_asan();
    for (size_t size = 1; size <= 17; size++) {
        char *block = filz_mmap_alloc(&mapped, size, 1);
        assert_false(is_caught(block + size - 1));
        assert_true(is_caught(block + size));
    }
    assert_int_equal(filz_mmap_close(&mapped), 0);
}

static void large_blocks_and_what_follows_the_last_chunk_are_seen(void **state)
{
    (void)state;
    need_asan();
    char *small = filz_mmap_alloc(&mapped, 10, 1);
    assert_true(is_caught(small + 60 * KIB - 128)); /* committed, but no chunk's yet */
    char *large = filz_mmap_alloc(&mapped, MIB + 5, 1);
    memset(large, 1, MIB + 5);
    assert_false(is_caught(large + MIB + 4));
    assert_true(is_caught(large + MIB + 5));
    large = filz_mmap_realloc(&mapped, large, MIB + 5, 1, 300 * KIB);
    assert_false(is_caught(large + 300 * KIB - 1));
    assert_true(is_caught(large + 300 * KIB));
    assert_int_equal(filz_mmap_close(&mapped), 0);
}

static void what_a_block_that_moves_leaves_is_caught_until_it_is_used_again(void **state)
{
    (void)state;
    need_asan();
    char *left = filz_mmap_alloc(&mapped, 1000, 8), *small = filz_mmap_alloc(&mapped, 300, 8);
    char *after = filz_mmap_alloc(&mapped, 1, 1);
    char *moved = filz_mmap_realloc(&mapped, left, 1000, 8, 2000);
    assert_false(is_caught(moved + 1999) || is_caught(small) || is_caught(after));
    assert_true(is_caught(left) && is_caught(left + 999));
    assert_ptr_equal(filz_mmap_realloc(&mapped, small, 300, 8, 500), left);
    assert_false(is_caught(left) || is_caught(left + 499) || is_caught(after));
    assert_true(is_caught(left + 500) && is_caught(left + 999) && is_caught(small) && is_caught(small + 295));
    assert_int_equal(filz_mmap_close(&mapped), 0);
}

static int use_inherited(void *block)
{
    char *own = filz_mmap_alloc(&mapped, 100, 1);
    EXPECT(is_filled(block, 7, 100));
    memset(own, 8, 100);
    touch(own + 100); /* caught */
}

static void a_forked_child_sees_the_end_of_its_own_blocks(void **state)
{
    (void)state;
    need_asan();
    char *block = filz_mmap_alloc(&mapped, 100, 1);
    memset(block, 7, 100);
    for (int i = 0; i < 2; i++) {
        setenv("FILZ_FORK", i == 0 ? "copy" : "private", 1);
        pid_t child = begin_child(use_inherited, block);
        assert_int_equal(end_child(child), 1);
    }
    unsetenv("FILZ_FORK");
    assert_false(is_caught(block + 99));
    assert_true(is_caught(block + 100));
    assert_int_equal(filz_mmap_close(&mapped), 0);
}

static void a_persistent_heap_that_is_opened_again_has_poisoned_tails(void **state)
{
    (void)state;
    need_asan();
    filz_mmap heap = {.path = "poison.filz", .flags = FILZ_MMAP_PERSISTENT};
    char *block = filz_mmap_alloc(&heap, 101, 1);
    memset(block, 7, 101);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_true(is_filled(block, 7, 101));
    assert_false(is_caught(block + 100));
    assert_true(is_caught(block + 101));
    char *next = filz_mmap_alloc(&heap, 10, 1);
    assert_ptr_equal(next, block + 101);
    assert_false(is_caught(next + 9));
    assert_true(is_caught(next + 10));
    assert_int_equal(filz_mmap_close(&heap), 0);
    unlink("poison.filz");
}

static void addresses_of_a_closed_heap_are_others_to_use(void **state)
{
    (void)state;
    need_asan();
    assert_int_equal(filz_mmap_open(&mapped), 0);
    char *block = filz_mmap_alloc(&mapped, 100, 1);
    filz_mmap_info info = stats_of(&mapped);
    char *base = (char *)((uintptr_t)block & ~(uintptr_t)4095);
    assert_int_equal(filz_mmap_close(&mapped), 0);
    char *others = mmap(base, info.committed, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    assert_ptr_equal(others, base);
    for (size_t i = 0; i < info.committed; i++)
        others[i] = 1;
    munmap(others, info.committed);
}

/* --- stack --- */

static void a_global_stack_allocator_is_poisoned_from_the_start(void **state)
{
    (void)state;
    need_asan();
    char *block = filz_stack_alloc(scratch, 100, 8);
    assert_false(is_caught(block + 99));
    assert_true(is_caught(block + 104));
    assert_true(is_caught(block + 4000));
    size_t mark = filz_stack_mark(scratch);
    char *brief = filz_stack_alloc(scratch, 3000, 8);
    filz_stack_rewind(scratch, mark);
    assert_true(is_caught(brief));
    assert_true(is_caught(brief + 2999));
    assert_false(is_caught(block + 99));
    char *rest = filz_stack_alloc(scratch, 4097 - filz_stack_mark(scratch), 1);
    assert_false(is_caught(rest));
    filz_stack_reset(scratch);
    assert_true(is_caught(rest + 8));
    assert_true(is_caught(block));
}

static __attribute__((noinline)) void use_a_local_one(void)
{
    unsigned char memory[1000];
    filz_stack *stack = filz_stack_init(memory, sizeof(memory));
    char *block = filz_stack_alloc(stack, 100, 1);
    assert_ptr_equal(filz_stack_realloc(stack, block, 100, 1, 10), block);
    filz_stack_reset(stack);
    for (size_t i = 0; i < sizeof(memory); i++)
        ((volatile unsigned char *)memory)[i] = 1;
}

static void a_function_may_have_an_allocator_in_a_local_variable(void **state)
{
    (void)state;
    use_a_local_one();
}

static void *allocate_bytes(void *stack)
{
    for (int i = 0; i < 10000; i++) {
        char *block = filz_stack_alloc(stack, 3, 1);
        block[0] = block[1] = block[2] = 1;
        block = filz_stack_realloc(stack, block, 3, 1, 30);
        memset(block, 2, 30);
        block = filz_stack_realloc(stack, block, 30, 1, 5);
        memset(block, 3, 5);
    }
    return NULL;
}

/* Four threads, 10,000 blocks of a few bytes each. */
static void threads_that_share_eight_bytes_of_a_stack_allocator_are_not_caught(void **state)
{
    (void)state;
    struct heap *heap = new_stack_heap(4 * MIB);
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_bytes, heap->stack), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    free_heap(heap);
}

/* A damaged size leads to it. */
static int has_a_chunk_that_ends_at_a_block(void *unused)
{
    (void)unused;
    filz_mmap heap = {.capacity = MIB};
    filz_mmap_info info;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *block = filz_mmap_alloc(&heap, 8, page);
    EXPECT(block != NULL && filz_mmap_stats(&heap, &info) == 0);
    struct fz_chunk *chunk = (struct fz_chunk *)(heap.heap->backing.base + page);
    chunk->size = (size_t)(block - (char *)chunk);
    fz_chunk_set_left(chunk, 0);
    EXPECT(filz_mmap_stats(&heap, &info) == FILZ_EDAMAGED);
    return 0;
}

static void where_a_chunk_should_begin_and_a_block_does_nothing_is_caught(void **state)
{
    (void)state;
    need_asan();
    assert_int_equal(in_child(has_a_chunk_that_ends_at_a_block, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(reading_past_a_block_is_caught),
        IN_FRESH_DIRECTORY(what_a_shrink_gives_back_is_caught_until_it_is_allocated_again),
        IN_FRESH_DIRECTORY(what_a_reset_ended_is_caught_until_it_is_allocated_again),
        IN_FRESH_DIRECTORY(a_block_of_a_mapped_heap_ends_at_its_last_byte),
        IN_FRESH_DIRECTORY(large_blocks_and_what_follows_the_last_chunk_are_seen),
        IN_FRESH_DIRECTORY(what_a_block_that_moves_leaves_is_caught_until_it_is_used_again),
        IN_FRESH_DIRECTORY(a_forked_child_sees_the_end_of_its_own_blocks),
        IN_FRESH_DIRECTORY(a_persistent_heap_that_is_opened_again_has_poisoned_tails),
        IN_FRESH_DIRECTORY(where_a_chunk_should_begin_and_a_block_does_nothing_is_caught),
        IN_FRESH_DIRECTORY(addresses_of_a_closed_heap_are_others_to_use),
        IN_FRESH_DIRECTORY(a_global_stack_allocator_is_poisoned_from_the_start),
        IN_FRESH_DIRECTORY(a_function_may_have_an_allocator_in_a_local_variable),
        IN_FRESH_DIRECTORY(threads_that_share_eight_bytes_of_a_stack_allocator_are_not_caught),
    };
    return cmocka_run_group_tests_name("poison", tests, NULL, NULL);
}
