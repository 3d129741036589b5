/* The arithmetic of bump.h, against a model that tries every address in turn. */
#include "support.h"

#include "../../../c/bump.h"

/* Room for `size` bytes at the first multiple of `align` from `cursor` on? No sums, so that nothing wraps. */
static bool model_fits(uintptr_t cursor, uintptr_t end, size_t size, size_t align, uintptr_t *block)
{
    uintptr_t at = cursor;
    while (at % align != 0) {
        if (at == end)
            return false;
        at++;
    }
    *block = at;
    return size <= end - at;
}

static void compare(uintptr_t cursor, uintptr_t end, size_t size, size_t align)
{
    uintptr_t expected = 0, block = 0;
    bool fits = bump_fits(cursor, end, size, align, &block);
    if (fits != model_fits(cursor, end, size, align, &expected) || (fits && block != expected))
        fail_msg("bump_fits(%#zx, %#zx, %zu, %zu) is %d at %#zx", (size_t)cursor, (size_t)end, size, align, fits,
                 (size_t)block);
}

/* Every cursor, end, size and alignment within `span` bytes from `origin` on. */
static void compare_all(uintptr_t origin, size_t span)
{
    for (size_t from = 0; from <= span; from++)
        for (size_t to = from; to <= span; to++)
            for (size_t align = 1; align <= 2 * span; align *= 2)
                for (size_t size = 0; size <= span + 2; size++)
                    compare(origin + from, origin + to, size, align);
}

static void powers_of_two_are_told_from_all_other_numbers(void **state)
{
    (void)state;
    size_t found = 0;
    for (size_t n = 0; n <= 65536; n++)
        found += is_power_of_two(n);
    assert_int_equal(found, 17);
    for (unsigned bit = 0; bit < sizeof(size_t) * CHAR_BIT; bit++)
        assert_true(is_power_of_two((size_t)1 << bit));
    assert_false(is_power_of_two(0));
    assert_false(is_power_of_two(SIZE_MAX));
    assert_false(is_power_of_two(SIZE_MAX / 2));
}

static void aligning_moves_to_the_nearest_multiple(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 128; align *= 2)
        for (uintptr_t at = 0; at <= 512; at++) {
            uintptr_t up = align_up(at, align), down = align_down(at, align);
            assert_true(up % align == 0 && up >= at && up - at < align);
            assert_true(down % align == 0 && down <= at && at - down < align);
            assert_int_equal(padding_for(at, align), up - at);
        }
}

static void aligning_up_past_the_last_address_gives_zero(void **state)
{
    (void)state;
    assert_true(align_up(UINTPTR_MAX, 2) == 0);
    assert_true(align_up(UINTPTR_MAX - 62, 64) == 0);
    assert_true(align_up(UINTPTR_MAX - 63, 64) == UINTPTR_MAX - 63);
    assert_true(align_up(UINTPTR_MAX, 1) == UINTPTR_MAX);
}

static void a_block_fits_where_trying_every_address_says_so(void **state)
{
    (void)state;
    compare_all(0, 24);
    compare_all(4096 - 12, 24);
}

static void nothing_wraps_at_the_end_of_the_address_space(void **state)
{
    (void)state;
    compare_all(UINTPTR_MAX - 24, 24);
    compare_all(UINTPTR_MAX / 2 - 12, 24);
}

static void no_size_near_the_largest_fits_by_wrapping(void **state)
{
    (void)state;
    static const size_t borders[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 2 + 1 + 64};
    for (size_t i = 0; i < COUNT(borders); i++)
        for (size_t less = 0; less <= 64; less++)
            for (size_t align = 1; align <= 64; align *= 2)
                for (uintptr_t cursor = 4096; cursor < 4096 + 64; cursor++)
                    compare(cursor, 4096 + 64, borders[i] - less, align);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(powers_of_two_are_told_from_all_other_numbers),
        cmocka_unit_test(aligning_moves_to_the_nearest_multiple),
        cmocka_unit_test(aligning_up_past_the_last_address_gives_zero),
        cmocka_unit_test(a_block_fits_where_trying_every_address_says_so),
        cmocka_unit_test(nothing_wraps_at_the_end_of_the_address_space),
        cmocka_unit_test(no_size_near_the_largest_fits_by_wrapping),
    };
    return cmocka_run_group_tests_name("bump", tests, NULL, NULL);
}
