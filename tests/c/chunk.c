/* Unit tests of c/chunk.[ch]: the rule that the fast path rests on, and how chunks are cut, grown, trimmed, handed on.
 */
#include "support.h"

#include "../../c/chunk.h"
#include "../../c/heap_file.h"

static filz_mmap settings;
static struct filz_heap *heap;
static struct filz_span fresh_pages;

static int open_heap(void **state)
{
    (void)state;
    settings = (filz_mmap){.capacity = 64 * MIB};
    int error = filz_mmap_open(&settings);
    heap = settings.heap;
    fresh_pages = (struct filz_span){0, 0};
    return error;
}

static int close_heap(void **state)
{
    (void)state;
    return filz_mmap_close(&settings);
}

#define ON_A_HEAP(test) cmocka_unit_test_setup_teardown(test, open_heap, close_heap)

/* A chunk for small blocks, as a thread gets it that has none. */
static struct filz_chunk *new_chunk(void)
{
    struct filz_chunk *open = NULL;
    assert_non_null(filz_chunk_serve(heap, &open, 1, 1, &fresh_pages));
    return open;
}

/* The definition, spelled out: each power of two up to `left` divides `end`. */
static bool divided_by_every_power_up_to(uintptr_t end, size_t left)
{
    for (size_t power = 1; power != 0 && power <= left; power *= 2)
        if (end % power != 0)
            return false;
    return true;
}

static void what_may_be_left_is_what_every_power_of_two_allows(void **state)
{
    (void)state;
    for (uintptr_t end = 0; end < 600; end++)
        for (size_t left = 0; left < 600; left++)
            assert_int_equal(filz_chunk_end_suits(end, left), divided_by_every_power_up_to(end, left));
    assert_true(filz_chunk_end_suits((uintptr_t)1 << 30, SIZE_MAX >> (sizeof(size_t) * 8 - 31)));
}

/* The fast path, compared with plain arithmetic on the cursor, in a chunk of 512 bytes before an aligned end. */
static void the_fast_path_aligns_as_plain_arithmetic_does(void **state)
{
    (void)state;
    static _Alignas(512) unsigned char memory[512];
    uintptr_t end = (uintptr_t)memory + sizeof(memory);
    for (size_t left = 0; left < 512; left++)
        for (size_t align = 1; align <= 1024; align *= 2)
            for (size_t size = 0; size < 520; size += 1 + size / 8) {
                struct filz_chunk chunk = {.end = end, .fill = SIZE_MAX - left};
                uintptr_t expected;
                bool fits = size > 0 && bump_fits(end - left, end, size, align, &expected);
                void *block = NULL;
                assert_int_equal(filz_chunk_bump(&chunk, size, align, &block), fits);
                assert_int_equal(chunk.blocks, fits);
                if (fits) {
                    assert_int_equal((uintptr_t)block, expected);
                    assert_int_equal(filz_chunk_cursor(&chunk), expected + size);
                }
            }
}

static void the_fast_path_takes_nothing_for_size_zero_or_alignment_zero(void **state)
{
    (void)state;
    struct filz_chunk chunk = {.end = 4096, .fill = SIZE_MAX - 2048};
    void *block;
    assert_false(filz_chunk_bump(&chunk, 0, 1, &block));
    assert_false(filz_chunk_bump(&chunk, 1, 0, &block));
    assert_false(filz_chunk_bump(&chunk, SIZE_MAX, 1, &block));
    assert_int_equal(filz_chunk_left(&chunk), 2048);
    assert_int_equal(chunk.blocks, 0);
}

static void the_first_chunk_begins_behind_the_header_page(void **state)
{
    (void)state;
    struct filz_chunk *chunk = new_chunk();
    assert_int_equal((uintptr_t)chunk, filz_heap_base(heap) + heap->page_size);
    assert_ptr_equal(filz_chunk_next(heap, NULL), chunk);
    assert_null(filz_chunk_next(heap, chunk));
    assert_int_equal(chunk->owner, 1);
}

static void an_open_chunk_keeps_the_fast_paths_rule_as_it_grows(void **state)
{
    (void)state;
    struct filz_chunk *open = new_chunk();
    for (size_t size = 1; size < 100000; size += 1 + size / 3) {
        struct filz_chunk *before = open;
        assert_non_null(filz_chunk_serve(heap, &open, filz_chunk_left(open) + size, 1, &fresh_pages));
        assert_ptr_equal(open, before);
        assert_true(filz_chunk_end_suits(open->end, filz_chunk_left(open)));
        assert_int_equal(open->end, filz_heap_cursor(heap));
    }
}

static void two_threads_chunks_lie_back_to_back(void **state)
{
    (void)state;
    struct filz_chunk *one = new_chunk(), *other = new_chunk();
    assert_int_equal((uintptr_t)other, one->end);
    assert_ptr_equal(filz_chunk_next(heap, one), other);
    assert_int_equal(other->owner, 2);
}

static void a_large_block_gets_a_chunk_of_its_own_if_another_is_in_the_way(void **state)
{
    (void)state;
    struct filz_chunk *one = new_chunk(), *other = new_chunk(), *open = one;
    size_t left = filz_chunk_left(one);
    char *block = filz_chunk_serve(heap, &open, MIB, 1, &fresh_pages);
    assert_ptr_equal(open, one);
    assert_int_equal(filz_chunk_left(one), left);
    struct filz_chunk *alone = filz_chunk_next(heap, other);
    assert_true(alone->alone);
    assert_ptr_equal(block, (char *)alone + sizeof(*alone));
    assert_true(filz_chunk_left(alone) < heap->page_size);
}

static void pages_are_brought_in_for_small_blocks_only(void **state)
{
    (void)state;
    struct filz_chunk *open = new_chunk();
    assert_int_equal(fresh_pages.start, (uintptr_t)open + heap->page_size);
    assert_int_equal(fresh_pages.end, open->end);
    fresh_pages = (struct filz_span){0, 0};
    assert_non_null(filz_chunk_serve(heap, &open, 8 * MIB, 1, &fresh_pages));
    assert_int_equal(fresh_pages.end, 0);
}

static void a_rest_goes_to_the_next_that_it_is_enough_for(void **state)
{
    (void)state;
    struct filz_chunk *left = new_chunk(), *last = new_chunk(), *open = NULL;
    filz_chunk_leave(heap, left);
    assert_non_null(filz_chunk_serve(heap, &open, 100, 1, &fresh_pages));
    assert_ptr_equal(open, left);
    assert_int_equal(open->owner, 3);
    filz_chunk_leave(heap, left);
    open = NULL;
    assert_non_null(filz_chunk_serve(heap, &open, filz_chunk_left(left) + 1, 1, &fresh_pages));
    assert_ptr_not_equal(open, left);
    assert_int_equal((uintptr_t)open, last->end);
    assert_null(heap->rests);
}

static void only_the_last_block_of_the_last_chunk_grows(void **state)
{
    (void)state;
    struct filz_chunk *one = new_chunk(), *other = new_chunk();
    assert_false(filz_chunk_grow_block(heap, one, filz_chunk_cursor(one), 10, &fresh_pages));
    assert_false(filz_chunk_grow_block(heap, one, filz_chunk_cursor(other), 10, &fresh_pages));
    assert_false(filz_chunk_grow_block(heap, other, filz_chunk_cursor(other) - 1, 10, &fresh_pages));
    uintptr_t end = filz_chunk_cursor(other);
    assert_true(filz_chunk_grow_block(heap, other, end, 3 * MIB, &fresh_pages));
    assert_int_equal(filz_chunk_cursor(other), end + 3 * MIB);
    assert_false(filz_chunk_grow_block(heap, other, filz_chunk_cursor(other), SIZE_MAX, &fresh_pages));
}

static void a_block_alone_in_its_chunk_grows_by_the_bytes_and_pages_it_needs(void **state)
{
    (void)state;
    struct filz_chunk *open = new_chunk();
    void *other = filz_mmap_alloc(&settings, 10, 1);
    assert_non_null(other);
    uintptr_t block = (uintptr_t)filz_chunk_serve(heap, &open, MIB - 100, 1, &fresh_pages);
    struct filz_chunk *own = heap->last;
    assert_true(own->alone);
    uintptr_t page_end = own->end;
    assert_true(filz_chunk_grow_block(heap, open, block + MIB - 100, 10, &fresh_pages));
    assert_int_equal(own->end, page_end);
    assert_true(filz_chunk_grow_block(heap, open, block + MIB - 90, heap->page_size, &fresh_pages));
    assert_int_equal(own->end, page_end + heap->page_size);
    assert_int_equal(filz_chunk_cursor(own), block + MIB - 90 + heap->page_size);
}

static void what_is_trimmed_is_the_heaps_again_and_not_fresh(void **state)
{
    (void)state;
    struct filz_chunk *chunk = new_chunk();
    uintptr_t start = filz_chunk_cursor(chunk);
    assert_true(filz_chunk_grow_block(heap, chunk, start, 3 * MIB, &fresh_pages));
    uintptr_t end = chunk->end;
    filz_chunk_trim(heap, chunk, start + 10);
    assert_int_equal(filz_chunk_cursor(chunk), start + 10);
    assert_true(filz_chunk_left(chunk) < heap->page_size);
    assert_int_equal(filz_heap_cursor(heap), chunk->end);
    assert_int_equal(heap->fresh, end);
}

static void a_chunk_that_is_not_the_last_is_not_trimmed(void **state)
{
    (void)state;
    struct filz_chunk *one = new_chunk(), *other = new_chunk(), saved = *one;
    filz_chunk_trim(heap, one, filz_chunk_cursor(one) - 1);
    assert_memory_equal(one, &saved, sizeof(saved));
    assert_int_equal(filz_heap_cursor(heap), other->end);
}

/* In a child that maps its parent's file, a header may turn into anything. */
static void a_walk_ends_at_a_header_that_cannot_be_one(void **state)
{
    (void)state;
    struct filz_chunk *one = new_chunk(), *other = new_chunk(), saved = *other;
    uintptr_t address = (uintptr_t)other;
    const uintptr_t ends[] = {0,          address, address + 1, address - heap->page_size, saved.end + heap->page_size,
                              UINTPTR_MAX};
    for (size_t i = 0; i < COUNT(ends); i++) {
        other->end = ends[i];
        assert_null(filz_chunk_next(heap, one));
    }
    *other = saved;
    filz_chunk_set_left(other, SIZE_MAX);
    assert_null(filz_chunk_next(heap, one));
    *other = saved;
    assert_ptr_equal(filz_chunk_next(heap, one), other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_be_left_is_what_every_power_of_two_allows),
        cmocka_unit_test(the_fast_path_aligns_as_plain_arithmetic_does),
        cmocka_unit_test(the_fast_path_takes_nothing_for_size_zero_or_alignment_zero),
        ON_A_HEAP(the_first_chunk_begins_behind_the_header_page),
        ON_A_HEAP(an_open_chunk_keeps_the_fast_paths_rule_as_it_grows),
        ON_A_HEAP(two_threads_chunks_lie_back_to_back),
        ON_A_HEAP(a_large_block_gets_a_chunk_of_its_own_if_another_is_in_the_way),
        ON_A_HEAP(pages_are_brought_in_for_small_blocks_only),
        ON_A_HEAP(a_rest_goes_to_the_next_that_it_is_enough_for),
        ON_A_HEAP(only_the_last_block_of_the_last_chunk_grows),
        ON_A_HEAP(a_block_alone_in_its_chunk_grows_by_the_bytes_and_pages_it_needs),
        ON_A_HEAP(what_is_trimmed_is_the_heaps_again_and_not_fresh),
        ON_A_HEAP(a_chunk_that_is_not_the_last_is_not_trimmed),
        ON_A_HEAP(a_walk_ends_at_a_header_that_cannot_be_one),
    };
    return cmocka_run_group_tests_name("chunk", tests, enter_fresh_folder, leave_fresh_folder);
}
