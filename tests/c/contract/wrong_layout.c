/* Arguments of realloc that no block was allocated with: an assertion says so, in builds that have assertions. */
#include "support.h"

#ifdef NDEBUG
static const bool asserts = false;
#else
static const bool asserts = true;
#endif

struct wild {
    const char *what;
    ptrdiff_t offset; /* from the block, which is of 100 bytes at a multiple of 8 */
    size_t size, align;
    bool other_heap;
};

static const struct wild wild_calls[] = {
    {"a size beyond what was allocated", 0, 101, 8, false}, {"a size beyond the heap", 0, SIZE_MAX / 2, 8, false},
    {"a block from another heap", 0, 100, 8, true},         {"an address before all blocks", -1000000, 100, 8, false},
    {"an address after all blocks", 104, 8, 8, false},      {"an address that isn't aligned", 4, 8, 8, false},
};

struct call {
    struct heap *heap;
    char *block;
    size_t size, align;
};

static int reallocate(void *context)
{
    const struct call *call = context;
    fclose(stderr); /* what the assertion says isn't this test's own output */
    signal(SIGABRT, SIG_DFL);
    signal(SIGILL, SIG_DFL);
    signal(SIGTRAP, SIG_DFL);
    heap_realloc(call->heap, call->block, call->size, call->align, 50);
    return 0;
}

static void try_all(struct heap *heap, struct heap *other)
{
    if (!asserts)
        SKIP("this build has no assertions");
    char *block = heap_alloc(heap, 100, 8);
    assert_int_equal(in_child(reallocate, &(struct call){heap, block, 100, 8}), 0);
    for (size_t i = 0; i < COUNT(wild_calls); i++) {
        const struct wild *wild = &wild_calls[i];
        char *address = (char *)((uintptr_t)block + (uintptr_t)wild->offset);
        struct call call = {wild->other_heap ? other : heap, address, wild->size, wild->align};
        if (in_child(reallocate, &call) <= 128) /* the stack allocator has no abort, and traps */
            fail_msg("no assertion says: %s", wild->what);
    }
    free_heap(heap);
    free_heap(other);
}

static void a_mapped_heap_asserts_that_the_block_is_its_own(void **state)
{
    (void)state;
    try_all(new_mmap_heap(MIB), new_mmap_heap(MIB));
}

static void a_stack_asserts_that_the_block_is_its_own(void **state)
{
    (void)state;
    try_all(new_stack_heap(KIB), new_stack_heap(KIB));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_mapped_heap_asserts_that_the_block_is_its_own),
        IN_FRESH_DIRECTORY(a_stack_asserts_that_the_block_is_its_own),
    };
    return cmocka_run_group_tests_name("wrong_layout", tests, NULL, NULL);
}
