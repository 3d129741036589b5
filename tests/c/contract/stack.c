/* What only the stack allocator has: its buffer to the last byte, marks, any place in memory, no errno.
 * Signal handlers are in stack_signals.c. */
#include "support.h"

FILZ_STACK(at_file_scope, 256)

static void *from_a_constructor;

/* Any constructor of the program's may allocate: the macro's own runs before. */
__attribute__((constructor)) static void allocate_before_main(void)
{
    from_a_constructor = filz_stack_alloc(at_file_scope, 8, 8);
}

static filz_stack *new_stack(void **state, size_t capacity)
{
    struct heap *heap = new_stack_heap(capacity);
    *state = heap;
    return heap->stack;
}

static int free_stack(void **state)
{
    if (*state)
        free_heap(*state);
    return 0;
}

static char *buffer_of(filz_stack *stack)
{
    return (char *)(stack + 1);
}

static size_t capacity_of(const filz_stack *stack)
{
    filz_stack_info info;
    filz_stack_stats(stack, &info);
    return info.capacity;
}

static void a_stack_at_file_scope_works_before_main(void **state)
{
    (void)state;
    assert_non_null(from_a_constructor);
    assert_true(filz_stack_owns(at_file_scope, from_a_constructor));
    assert_int_equal(capacity_of(at_file_scope), 256);
}

static void blocks_of_alignment_one_fill_the_buffer_to_its_last_byte(void **state)
{
    filz_stack *stack = new_stack(state, 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_ptr_equal(filz_stack_alloc(stack, 1, 1), buffer_of(stack) + i);
    assert_null(filz_stack_alloc(stack, 1, 1));
    assert_null(filz_stack_alloc(stack, 0, 1));
    assert_int_equal(filz_stack_mark(stack), 1000);
}

static void one_block_may_take_the_whole_buffer(void **state)
{
    filz_stack *stack = new_stack(state, 1000);
    assert_null(filz_stack_alloc(stack, 1001, 1));
    assert_ptr_equal(filz_stack_alloc(stack, 1000, 8), buffer_of(stack));
}

static void a_block_costs_its_size_and_its_padding(void **state)
{
    filz_stack *stack = new_stack(state, 4096);
    assert_ptr_equal(filz_stack_alloc(stack, 3, 1), buffer_of(stack));
    assert_ptr_equal(filz_stack_alloc(stack, 8, 8), buffer_of(stack) + 8);
    assert_ptr_equal(filz_stack_alloc(stack, 1, 1), buffer_of(stack) + 16);
    assert_ptr_equal(filz_stack_alloc(stack, 1, 1024), buffer_of(stack) + 1024);
    assert_int_equal(filz_stack_mark(stack), 1025);
}

static void the_newest_block_grows_to_the_last_byte_and_no_further(void **state)
{
    filz_stack *stack = new_stack(state, 100);
    void *block = filz_stack_alloc(stack, 10, 1);
    assert_ptr_equal(filz_stack_realloc(stack, block, 10, 1, 100), block);
    assert_null(filz_stack_realloc(stack, block, 100, 1, 101));
    assert_int_equal(filz_stack_mark(stack), 100);
}

static void the_newest_block_gives_back_what_it_shrinks_by(void **state)
{
    filz_stack *stack = new_stack(state, 100);
    char *block = filz_stack_alloc(stack, 100, 1);
    assert_ptr_equal(filz_stack_realloc(stack, block, 100, 1, 40), block);
    assert_ptr_equal(filz_stack_alloc(stack, 60, 1), block + 40);
}

static void a_block_shrunk_to_nothing_stays_a_block_of_its_own(void **state)
{
    filz_stack *stack = new_stack(state, 100);
    void *block = filz_stack_alloc(stack, 10, 1);
    assert_ptr_equal(filz_stack_realloc(stack, block, 10, 1, 0), block);
    assert_ptr_not_equal(filz_stack_alloc(stack, 1, 1), block);
}

static void an_older_block_that_shrinks_gives_nothing_back(void **state)
{
    filz_stack *stack = new_stack(state, 100);
    void *older = filz_stack_alloc(stack, 50, 1);
    assert_non_null(filz_stack_alloc(stack, 10, 1));
    assert_ptr_equal(filz_stack_realloc(stack, older, 50, 1, 1), older);
    assert_int_equal(filz_stack_mark(stack), 60);
}

static void rewind_ends_the_blocks_since_the_mark_and_no_others(void **state)
{
    filz_stack *stack = new_stack(state, 100);
    char *kept = filz_stack_alloc(stack, 20, 1);
    memset(kept, 'k', 20);
    size_t mark = filz_stack_mark(stack);
    char *ended = filz_stack_alloc(stack, 30, 1);
    memset(ended, 'e', 30);
    filz_stack_rewind(stack, mark);
    assert_true(is_filled(kept, 'k', 20));
    char *zeroed = filz_stack_alloc_zeroed(stack, 80, 1);
    assert_ptr_equal(zeroed, ended);
    assert_true(is_filled(zeroed, 0, 80));
    assert_true(is_filled(kept, 'k', 20));
}

static void marks_nest(void **state)
{
    filz_stack *stack = new_stack(state, 100);
    size_t outer = filz_stack_mark(stack);
    assert_non_null(filz_stack_alloc(stack, 10, 1));
    size_t inner = filz_stack_mark(stack);
    assert_non_null(filz_stack_alloc(stack, 10, 1));
    filz_stack_rewind(stack, inner);
    assert_int_equal(filz_stack_mark(stack), 10);
    filz_stack_rewind(stack, outer);
    assert_int_equal(filz_stack_mark(stack), 0);
}

static void a_mark_above_what_is_in_use_changes_nothing(void **state)
{
    filz_stack *stack = new_stack(state, 100);
    assert_non_null(filz_stack_alloc(stack, 50, 1));
    size_t late = filz_stack_mark(stack);
    filz_stack_reset(stack);
    assert_non_null(filz_stack_alloc(stack, 10, 1));
    filz_stack_rewind(stack, late);
    filz_stack_rewind(stack, SIZE_MAX);
    assert_int_equal(filz_stack_mark(stack), 10);
}

static void every_function_leaves_errno_alone(void **state)
{
    filz_stack *stack = new_stack(state, 100);
    volatile size_t too_large = SIZE_MAX, odd = 3, zero = 0; /* the compiler would say so too */
    errno = 77;
    void *block = filz_stack_alloc(stack, 10, 1);
    assert_non_null(block);
    assert_null(filz_stack_alloc(stack, 101, 1));
    assert_null(filz_stack_alloc(stack, 1, odd));
    assert_null(filz_stack_alloc_zeroed(stack, too_large, 1));
    assert_null(filz_stack_alloc_zeroed(stack, 1, zero));
    assert_null(filz_stack_realloc(stack, block, 10, 1, 101));
    assert_null(filz_stack_realloc(stack, block, 10, odd, 5));
    assert_null(filz_stack_realloc(stack, NULL, 0, 1, 101));
    assert_int_equal(errno, 77);
}

static void init_finds_room_for_its_header_at_any_address(void **state)
{
    (void)state;
    _Alignas(64) static unsigned char memory[256];
    for (size_t skip = 0; skip < 64; skip++) {
        filz_stack *stack = filz_stack_init(memory + skip, 100);
        assert_non_null(stack);
        assert_true(is_aligned(stack, _Alignof(filz_stack)));
        assert_true((unsigned char *)stack - (memory + skip) < (ptrdiff_t) _Alignof(filz_stack));
        assert_ptr_equal(buffer_of(stack) + capacity_of(stack), memory + skip + 100);
    }
}

static void init_refuses_memory_that_cannot_hold_the_header(void **state)
{
    (void)state;
    _Alignas(filz_stack) static unsigned char memory[sizeof(filz_stack) + 1];
    assert_null(filz_stack_init(NULL, 100));
    for (size_t bytes = 0; bytes < sizeof(filz_stack); bytes++)
        assert_null(filz_stack_init(memory, bytes));
    assert_null(filz_stack_init(memory + 1, sizeof(filz_stack)));
    filz_stack *stack = filz_stack_init(memory, sizeof(filz_stack));
    assert_non_null(stack);
    assert_int_equal(capacity_of(stack), 0);
    assert_null(filz_stack_alloc(stack, 0, 1));
    assert_false(filz_stack_owns(stack, buffer_of(stack)));
}

static void a_stack_works_where_it_was_moved_before_its_first_block(void **state)
{
    struct {
        filz_stack header;
        unsigned char buffer[64];
    } here, there;
    (void)state;
    assert_non_null(filz_stack_init(&here, sizeof(here)));
    memcpy(&there, &here, sizeof(here));
    void *block = filz_stack_alloc(&there.header, 64, 1);
    assert_ptr_equal(block, there.buffer);
    assert_true(filz_stack_owns(&there.header, block));
    assert_false(filz_stack_owns(&here.header, block));
}

static void owns_begins_and_ends_with_the_buffer(void **state)
{
    filz_stack *stack = new_stack(state, 100);
    assert_false(filz_stack_owns(stack, buffer_of(stack) - 1));
    assert_true(filz_stack_owns(stack, buffer_of(stack)));
    assert_true(filz_stack_owns(stack, buffer_of(stack) + 99));
    assert_false(filz_stack_owns(stack, buffer_of(stack) + 100));
}

static void a_block_of_size_zero_is_one_byte_on_a_full_stack_too(void **state)
{
    (void)state;
    char memory[64];
    filz_stack *stack = filz_stack_init(memory, sizeof(memory));
    char *block = filz_stack_alloc(stack, 0, 1);
    assert_non_null(block);
    while (filz_stack_alloc(stack, 1, 1) != NULL)
        continue;
    assert_ptr_equal(filz_stack_realloc(stack, block, 0, 1, 1), block);
    assert_null(filz_stack_realloc(stack, block, 1, 1, 2));
}

#define TEST(test) cmocka_unit_test_teardown(test, free_stack)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stack_at_file_scope_works_before_main),
        TEST(blocks_of_alignment_one_fill_the_buffer_to_its_last_byte),
        TEST(one_block_may_take_the_whole_buffer),
        TEST(a_block_costs_its_size_and_its_padding),
        TEST(the_newest_block_grows_to_the_last_byte_and_no_further),
        TEST(the_newest_block_gives_back_what_it_shrinks_by),
        TEST(a_block_shrunk_to_nothing_stays_a_block_of_its_own),
        TEST(an_older_block_that_shrinks_gives_nothing_back),
        TEST(rewind_ends_the_blocks_since_the_mark_and_no_others),
        TEST(marks_nest),
        TEST(a_mark_above_what_is_in_use_changes_nothing),
        TEST(every_function_leaves_errno_alone),
        TEST(init_finds_room_for_its_header_at_any_address),
        TEST(init_refuses_memory_that_cannot_hold_the_header),
        TEST(a_stack_works_where_it_was_moved_before_its_first_block),
        TEST(owns_begins_and_ends_with_the_buffer),
        cmocka_unit_test(a_block_of_size_zero_is_one_byte_on_a_full_stack_too),
    };
    return cmocka_run_group_tests_name("stack", tests, NULL, NULL);
}
