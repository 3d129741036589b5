/* Unit tests of c/chunk.[ch]: the rule that the fast path rests on, and how chunks are carved, grown, shortened, passed
 * on.
 */
#include "chunks.h"

/* The chunk after this one, or the first; NULL after the last. */
static struct fz_chunk *next_of(struct fz_chunk *chunk)
{
    assert_int_equal(fz_chunk_next(heap, &chunk), 0);
    return chunk;
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
            assert_int_equal(fz_chunk_end_suits(end, left), divided_by_every_power_up_to(end, left));
    assert_true(fz_chunk_end_suits((uintptr_t)1 << 30, SIZE_MAX >> (sizeof(size_t) * 8 - 31)));
}

/* The fast path, compared with plain arithmetic on the cursor, in a chunk that ends at a multiple of 512. */
static void the_fast_path_aligns_as_plain_arithmetic_does(void **state)
{
    (void)state;
    static _Alignas(512) struct {
        unsigned char padding[512 - sizeof(struct fz_chunk)];
        struct fz_chunk chunk;
        unsigned char blocks[512];
    } memory;
    struct fz_chunk *chunk = &memory.chunk;
    uintptr_t end = (uintptr_t)memory.blocks + sizeof(memory.blocks);
    for (size_t left = 0; left < 512; left++)
        for (size_t align = 1; align <= 1024; align *= 2)
            for (size_t size = 0; size < 520; size += 1 + size / 8) {
                *chunk = (struct fz_chunk){.size = end - (uintptr_t)chunk, .fill = SIZE_MAX - left};
                uintptr_t expected;
                bool fits = size > 0 && bump_fits(end - left, end, size, align, &expected);
                void *block = NULL;
                assert_int_equal(fz_chunk_bump(chunk, size, align, &block), fits);
                assert_int_equal(chunk->blocks, fits);
                if (fits) {
                    assert_int_equal((uintptr_t)block, expected);
                    assert_int_equal(fz_chunk_cursor(chunk), expected + size);
                }
            }
}

static void the_fast_path_takes_nothing_for_size_zero_or_alignment_zero(void **state)
{
    (void)state;
    struct fz_chunk chunk = {.size = 4096, .fill = SIZE_MAX - 2048};
    void *block;
    assert_false(fz_chunk_bump(&chunk, 0, 1, &block));
    assert_false(fz_chunk_bump(&chunk, 1, 0, &block));
    assert_false(fz_chunk_bump(&chunk, SIZE_MAX, 1, &block));
    assert_int_equal(fz_chunk_left(&chunk), 2048);
    assert_int_equal(chunk.blocks, 0);
}

static void the_first_chunk_begins_after_the_header_page(void **state)
{
    (void)state;
    struct fz_chunk *chunk = chunk_for(1);
    assert_int_equal((uintptr_t)chunk, heap->backing.base + heap->backing.page_size);
    assert_ptr_equal(next_of(NULL), chunk);
    assert_null(next_of(chunk));
    assert_int_equal(chunk->owner, 1);
}

static void an_active_chunk_keeps_the_fast_paths_rule_as_it_grows(void **state)
{
    (void)state;
    struct fz_chunk *active = chunk_for(1);
    for (size_t size = 1; size < 100000; size += 1 + size / 3) {
        struct fz_chunk *before = active;
        assert_non_null(fz_chunk_alloc(heap, &active, fz_chunk_left(active) + size, 1, &fresh_pages));
        assert_ptr_equal(active, before);
        assert_true(fz_chunk_end_suits(fz_chunk_end(active), fz_chunk_left(active)));
        assert_int_equal(fz_chunk_end(active), fz_heap_cursor(heap));
    }
}

static void two_threads_chunks_lie_back_to_back(void **state)
{
    (void)state;
    struct fz_chunk *one = chunk_for(1), *other = chunk_for(1);
    assert_int_equal((uintptr_t)other, fz_chunk_end(one));
    assert_ptr_equal(next_of(one), other);
    assert_int_equal(other->owner, 2);
}

static void a_large_block_gets_a_dedicated_chunk_if_another_is_in_the_way(void **state)
{
    (void)state;
    struct fz_chunk *one = chunk_for(1), *other = chunk_for(1), *active = one;
    size_t left = fz_chunk_left(one);
    char *block = fz_chunk_alloc(heap, &active, MIB, 1, &fresh_pages);
    assert_ptr_equal(active, one);
    assert_int_equal(fz_chunk_left(one), left);
    struct fz_chunk *dedicated = next_of(other);
    assert_int_equal(dedicated->state, FZ_DEDICATED);
    assert_ptr_equal(block, (char *)dedicated + sizeof(*dedicated));
    assert_true(fz_chunk_left(dedicated) < heap->backing.page_size);
}

static void pages_are_prefaulted_for_small_blocks_only(void **state)
{
    (void)state;
    struct fz_chunk *active = chunk_for(1);
    assert_int_equal(fresh_pages.start, (uintptr_t)active + heap->backing.page_size);
    assert_int_equal(fresh_pages.end, fz_chunk_end(active));
    fresh_pages = (struct fz_fresh_pages){.start = 0};
    assert_non_null(fz_chunk_alloc(heap, &active, 8 * MIB, 1, &fresh_pages));
    assert_int_equal(fresh_pages.end, 0);
}

static void a_tail_goes_to_the_next_that_it_is_enough_for(void **state)
{
    (void)state;
    struct fz_chunk *left = chunk_for(1), *last = chunk_for(1), *active = NULL;
    fz_chunk_leave(heap, left);
    assert_non_null(fz_chunk_alloc(heap, &active, 100, 1, &fresh_pages));
    assert_ptr_equal(active, left);
    assert_int_equal(active->owner, 3);
    fz_chunk_leave(heap, left);
    active = NULL;
    assert_non_null(fz_chunk_alloc(heap, &active, fz_chunk_left(left) + 1, 1, &fresh_pages));
    assert_ptr_not_equal(active, left);
    assert_int_equal((uintptr_t)active, fz_chunk_end(last));
    assert_int_equal(heap->tails, active->offset); /* without the one that was too small */
    assert_int_equal(active->next_tail, last->offset);
    assert_int_equal(last->next_tail, 0);
}

static void only_the_last_block_of_the_last_chunk_grows(void **state)
{
    (void)state;
    struct fz_chunk *one = chunk_for(1), *other = chunk_for(1);
    assert_false(fz_chunk_grow_block(heap, one, fz_chunk_cursor(one), 10, &fresh_pages));
    assert_false(fz_chunk_grow_block(heap, one, fz_chunk_cursor(other), 10, &fresh_pages));
    assert_false(fz_chunk_grow_block(heap, other, fz_chunk_cursor(other) - 1, 10, &fresh_pages));
    uintptr_t end = fz_chunk_cursor(other);
    assert_true(fz_chunk_grow_block(heap, other, end, 3 * MIB, &fresh_pages));
    assert_int_equal(fz_chunk_cursor(other), end + 3 * MIB);
    assert_false(fz_chunk_grow_block(heap, other, fz_chunk_cursor(other), SIZE_MAX, &fresh_pages));
}

static void a_block_in_a_dedicated_chunk_grows_by_the_bytes_and_pages_it_needs(void **state)
{
    (void)state;
    struct fz_chunk *active = chunk_for(1);
    void *other = filz_mmap_alloc(&settings, 10, 1);
    assert_non_null(other);
    uintptr_t block = (uintptr_t)fz_chunk_alloc(heap, &active, MIB - 100, 1, &fresh_pages);
    struct fz_chunk *own = heap->last;
    assert_int_equal(own->state, FZ_DEDICATED);
    uintptr_t page_end = fz_chunk_end(own);
    assert_true(fz_chunk_grow_block(heap, active, block + MIB - 100, 10, &fresh_pages));
    assert_int_equal(fz_chunk_end(own), page_end);
    assert_true(fz_chunk_grow_block(heap, active, block + MIB - 90, heap->backing.page_size, &fresh_pages));
    assert_int_equal(fz_chunk_end(own), page_end + heap->backing.page_size);
    assert_int_equal(fz_chunk_cursor(own), block + MIB - 90 + heap->backing.page_size);
}

static void what_a_block_shrinks_by_is_the_heaps_again_and_not_fresh(void **state)
{
    (void)state;
    struct fz_chunk *chunk = chunk_for(1);
    uintptr_t start = fz_chunk_cursor(chunk);
    assert_true(fz_chunk_grow_block(heap, chunk, start, 3 * MIB, &fresh_pages));
    uintptr_t end = fz_chunk_end(chunk);
    fz_chunk_shrink_block(heap, chunk, start + 3 * MIB, start + 10);
    assert_int_equal(fz_chunk_cursor(chunk), start + 10);
    assert_true(fz_chunk_left(chunk) < heap->backing.page_size);
    assert_int_equal(fz_heap_cursor(heap), fz_chunk_end(chunk));
    assert_int_equal(heap->fresh, end);
}

static void only_the_newest_block_of_the_last_chunk_gives_back(void **state)
{
    (void)state;
    struct fz_chunk *one = chunk_for(1), *other = chunk_for(1), saved = *one, saved_other = *other;
    fz_chunk_shrink_block(heap, one, fz_chunk_cursor(one), fz_chunk_cursor(one) - 1);
    fz_chunk_shrink_block(heap, one, fz_chunk_cursor(other), fz_chunk_cursor(other) - 1);
    fz_chunk_shrink_block(heap, other, fz_chunk_cursor(other) - 1, fz_chunk_cursor(other) - 2);
    assert_memory_equal(one, &saved, sizeof(saved));
    assert_memory_equal(other, &saved_other, sizeof(saved));
    assert_int_equal(fz_heap_cursor(heap), fz_chunk_end(other));
}

static void a_walk_says_that_a_header_cannot_be_one(void **state)
{
    (void)state;
    struct fz_chunk *one = chunk_for(1), *other = chunk_for(1), saved = *other, *found;
    const size_t page = heap->backing.page_size;
    const size_t sizes[] = {0, 1, page - 1, page + 64, (size_t)saved.size + page, SIZE_MAX, SIZE_MAX - page + 1};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        other->size = sizes[i];
        assert_int_equal(fz_chunk_next(heap, &(struct fz_chunk *){one}), FILZ_EDAMAGED);
    }
    *other = saved;
    fz_chunk_set_left(other, SIZE_MAX);
    assert_int_equal(fz_chunk_next(heap, &(struct fz_chunk *){one}), FILZ_EDAMAGED);
    memset(other, 0, sizeof(*other));
    found = one;
    assert_int_equal(fz_chunk_next(heap, &found), FILZ_EDAMAGED);
    assert_null(found);
    *other = saved;
    other->generation++;
    assert_int_equal(fz_chunk_next(heap, &(struct fz_chunk *){one}), FILZ_EDAMAGED);
    *other = saved;
    assert_ptr_equal(next_of(one), other);
}

/* As a power cut may leave it: a circle, or what isn't a chunk. */
static void a_list_of_tails_ends_where_it_cannot_be_right(void **state)
{
    (void)state;
    struct fz_chunk *one = chunk_for(1), *last = chunk_for(1), *active = NULL, *another = NULL;
    fz_chunk_leave(heap, one);
    one->next_tail = last->offset;
    assert_non_null(fz_chunk_alloc(heap, &active, 100, 1, &fresh_pages));
    assert_ptr_equal(active, one);
    assert_non_null(fz_chunk_alloc(heap, &another, 100, 1, &fresh_pages));
    assert_ptr_equal(another, heap->last);
    const uint64_t wrong[] = {1, heap->backing.page_size / 2, one->offset + 64, heap->cursor, UINT64_MAX, 0};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        fz_chunk_leave(heap, one);
        heap->tails = wrong[i];
        active = NULL;
        assert_non_null(fz_chunk_alloc(heap, &active, 100, 1, &fresh_pages));
        assert_ptr_equal(active, heap->last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_be_left_is_what_every_power_of_two_allows),
        cmocka_unit_test(the_fast_path_aligns_as_plain_arithmetic_does),
        cmocka_unit_test(the_fast_path_takes_nothing_for_size_zero_or_alignment_zero),
        ON_A_HEAP(the_first_chunk_begins_after_the_header_page),
        ON_A_HEAP(an_active_chunk_keeps_the_fast_paths_rule_as_it_grows),
        ON_A_HEAP(two_threads_chunks_lie_back_to_back),
        ON_A_HEAP(a_large_block_gets_a_dedicated_chunk_if_another_is_in_the_way),
        ON_A_HEAP(pages_are_prefaulted_for_small_blocks_only),
        ON_A_HEAP(a_tail_goes_to_the_next_that_it_is_enough_for),
        ON_A_HEAP(only_the_last_block_of_the_last_chunk_grows),
        ON_A_HEAP(a_block_in_a_dedicated_chunk_grows_by_the_bytes_and_pages_it_needs),
        ON_A_HEAP(what_a_block_shrinks_by_is_the_heaps_again_and_not_fresh),
        ON_A_HEAP(only_the_newest_block_of_the_last_chunk_gives_back),
        ON_A_HEAP(a_walk_says_that_a_header_cannot_be_one),
        ON_A_HEAP(a_list_of_tails_ends_where_it_cannot_be_right),
    };
    return cmocka_run_group_tests_name("chunk", tests, enter_fresh_directory, leave_fresh_directory);
}
