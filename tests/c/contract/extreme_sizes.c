/* Sizes and alignments at the borders of what a machine word holds, each with each, on both allocators. */
#include "contract.h"

#include "../../../c/bump.h"

enum { WORD = 8 * sizeof(size_t), SMALL = 130, MOST_NUMBERS = SMALL + 4 * WORD + 200 };

static size_t numbers[MOST_NUMBERS];
static size_t number_count;

/* All small ones, each power of two and its neighbours, what is around the largest signed and unsigned number. */
static void make_numbers(void)
{
    number_count = 0;
    for (size_t n = 0; n <= SMALL; n++)
        numbers[number_count++] = n;
    for (size_t power = 256; power != 0; power *= 2)
        for (size_t n = power - 1; n <= power + 1; n++)
            numbers[number_count++] = n;
    for (size_t less = 0; less <= 70; less++)
        numbers[number_count++] = SIZE_MAX - less;
    for (size_t n = (size_t)PTRDIFF_MAX - 20; n <= (size_t)PTRDIFF_MAX + 20; n++)
        numbers[number_count++] = n;
    assert_true(number_count <= MOST_NUMBERS);
}

/* -- One request --------------------------------------------------------------------------------------------------- */

enum how { ALLOC, ALLOC_ZEROED, REALLOC_OF_NULL, REALLOC_OF_NEWEST, REALLOC_OF_OLDER, HOWS };

struct request {
    enum how how;
    size_t size, align;
    char *old;  /* what realloc is given: a block of OLD_SIZE bytes */
    char *next; /* a block after it, or in its place */
};

enum { OLD_SIZE = 7 };

/* Blocks whose contents tell whether they were touched. */
static bool prepare(struct heap *heap, struct request *request, size_t align)
{
    request->old = heap_alloc(heap, OLD_SIZE, align);
    if (request->old == NULL)
        return false;
    memset(request->old, 'o', OLD_SIZE);
    if (request->how != REALLOC_OF_NEWEST) {
        request->next = heap_alloc(heap, OLD_SIZE, 1);
        assert_non_null(request->next);
        memset(request->next, 'b', OLD_SIZE);
    }
    return true;
}

static char *send(struct heap *heap, const struct request *request)
{
    switch (request->how) {
    case ALLOC:
        return heap_alloc(heap, request->size, request->align);
    case ALLOC_ZEROED:
        return heap_alloc_zeroed(heap, request->size, request->align);
    case REALLOC_OF_NULL:
        return heap_realloc(heap, NULL, OLD_SIZE, request->align, request->size);
    default:
        return heap_realloc(heap, request->old, OLD_SIZE, request->align, request->size);
    }
}

static bool is_resized(const struct request *request)
{
    return request->how == REALLOC_OF_NEWEST || request->how == REALLOC_OF_OLDER;
}

static bool is_apart(const char *block, size_t size, const char *other)
{
    return other == NULL || block >= other + OLD_SIZE || block + size <= other;
}

static void is_allocated(struct heap *heap, const struct request *request, char *block)
{
    size_t size = at_least_one(request->size);
    assert_int_equal(errno, 77);
    assert_true(request->size <= CAPACITY);
    assert_true(is_aligned(block, request->align));
    assert_true(heap_owns(heap, block) && heap_owns(heap, block + size - 1));
    assert_true(is_apart(block, size, request->next));
    if (is_resized(request))
        assert_true(is_filled(block, 'o', size < OLD_SIZE ? request->size : OLD_SIZE));
    else
        assert_true(is_apart(block, size, request->old));
    if (request->how == ALLOC_ZEROED)
        assert_true(is_filled(block, 0, request->size));
    block[0] = block[size - 1] = 'n';
}

/* What a heap that is at most half full must allocate; whether a larger one is allocated depends on where it is. */
static bool must_fit(const struct request *request)
{
    bool shrinks = is_resized(request) && request->size <= OLD_SIZE;
    return shrinks || (request->size <= CAPACITY / 8 && request->align <= CAPACITY / 8);
}

static void is_refused(struct heap *heap, const struct request *request, size_t used)
{
    assert_false(must_fit(request));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(heap_used(heap), used);
    assert_true(is_filled(request->old, 'o', OLD_SIZE));
}

static void try_request(struct heap *heap, struct request request)
{
    if (heap_used(heap) > CAPACITY / 4)
        heap_reset(heap);
    if (!prepare(heap, &request, request.align) && !prepare(heap, &request, 1))
        fail();
    if (is_resized(&request) && !is_aligned(request.old, request.align))
        return;
    size_t used = heap_used(heap);
    errno = 77;
    char *block = send(heap, &request);
    if (block != NULL)
        is_allocated(heap, &request, block);
    else
        is_refused(heap, &request, used);
    assert_true(request.next == NULL || is_filled(request.next, 'b', OLD_SIZE));
}

/* -- Each with each ------------------------------------------------------------------------------------------------ */

static void every_size_at_every_alignment_is_allocated_or_ENOMEM(void **state)
{
    size_t requests = 0;
    make_numbers();
    for (size_t align = 1; align != 0; align *= 2)
        for (size_t i = 0; i < number_count; i++)
            for (enum how how = 0; how < HOWS; how++, requests++)
                try_request(*state, (struct request){.how = how, .size = numbers[i], .align = align});
    print_message("%zu requests\n", requests);
}

static void no_size_is_allocated_at_what_is_no_alignment(void **state)
{
    size_t requests = 0;
    make_numbers();
    struct request request = {.how = REALLOC_OF_OLDER};
    assert_true(prepare(*state, &request, 1));
    size_t used = heap_used(*state);
    for (size_t a = 0; a < number_count; a++) {
        request.align = numbers[a];
        if (is_power_of_two(request.align))
            continue;
        for (size_t i = 0; i < number_count; i++)
            for (request.how = 0; request.how < HOWS; request.how++, requests++) {
                request.size = numbers[i];
                errno = 0;
                assert_null(send(*state, &request));
                assert_int_equal(errno, EINVAL);
            }
        assert_int_equal(heap_used(*state), used);
    }
    assert_true(is_filled(request.old, 'o', OLD_SIZE));
    assert_true(is_filled(request.next, 'b', OLD_SIZE));
    print_message("%zu requests\n", requests);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(every_size_at_every_alignment_is_allocated_or_ENOMEM),
        ON_BOTH(no_size_is_allocated_at_what_is_no_alignment),
    };
    return cmocka_run_group_tests_name("extreme_sizes", tests, NULL, NULL);
}
