/* A new persistent heap is placed at the address that the program chooses, its base, or after it. */
#include "persistent.h"

static void a_new_heap_is_placed_at_its_base_and_stays_there(void **state)
{
    (void)state;
    filz_mmap first = persistent_at("first.filz");
    assert_int_equal(filz_mmap_open(&first), 0);
    uintptr_t end = first.heap->backing.base + 64 * MIB;
    filz_mmap second = persistent_at("second.filz"), third = persistent_at("third.filz");
    second.base = end - 1;
    assert_int_equal(filz_mmap_open(&second), 0);
    assert_int_equal(second.heap->backing.base, end);
    third.base = end;
    assert_int_equal(filz_mmap_open(&third), FILZ_EBASE);
    assert_false(exists("third.filz"));
    assert_int_equal(filz_mmap_close(&second), 0);
    second.base = end + 64 * MIB;
    assert_int_equal(filz_mmap_open(&second), 0);
    assert_int_equal(second.heap->backing.base, end);
    assert_int_equal(filz_mmap_close(&second), 0);
    assert_int_equal(filz_mmap_close(&first), 0);
}

static void a_base_after_which_there_are_too_few_addresses_is_refused(void **state)
{
    (void)state;
    static const uintptr_t bases[] = {1, UINTPTR_MAX / 2 + 1 + (UINTPTR_MAX >> 2), UINTPTR_MAX - 5000, UINTPTR_MAX};
    for (size_t i = 0; i < COUNT(bases); i++) {
        filz_mmap heap = persistent_at("heap.filz");
        heap.capacity = 0;
        heap.base = bases[i];
        int error = filz_mmap_open(&heap);
        if (error == 0) { /* on 32 bits, there is room */
            assert_true(heap.heap->backing.base >= bases[i] && filz_mmap_close(&heap) == 0);
            assert_int_equal(filz_mmap_open(&heap) | filz_mmap_close(&heap) | remove("heap.filz"), 0);
            continue;
        }
        assert_int_equal(error, FILZ_EBASE);
        assert_false(exists("heap.filz"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_new_heap_is_placed_at_its_base_and_stays_there),
        IN_FRESH_DIRECTORY(a_base_after_which_there_are_too_few_addresses_is_refused),
    };
    return cmocka_run_group_tests_name("base_address", tests, NULL, NULL);
}
