/* Which threads have a colour of their own in the page map. */
#include "made_maps.h"

static uint64_t shared_bytes(const struct page_map *map)
{
    uint64_t bytes = 0;
    for (int colour = 0; colour < MAP_COLOURS; colour++)
        bytes += map->shares[colour].bytes;
    return bytes;
}

static void the_threads_with_most_bytes_have_a_colour_each_and_the_others_share_one(void **state)
{
    (void)state;
    struct view view;
    make_heap_of_threads(20, 30);
    assert_true(look_at(&view, "heap", 100) && view.whole);
    bool taken[21] = {false};
    for (size_t i = 0; i < MAP_THREADS; i++) {
        const struct thread_share *share = &view.map.shares[view.map.legend[i]];
        assert_int_equal(share->thread, 13 + i);
        assert_int_equal(share->bytes, (13 + i) * page);
        assert_false(taken[view.map.legend[i]]);
        taken[view.map.legend[i]] = true;
    }
    assert_int_equal(view.map.legend[MAP_THREADS], MAP_OTHERS);
    assert_int_equal(shared_bytes(&view.map), view.map.used - page);
    assert_int_equal(page_map_look(&view.map, 0).colour, MAP_OTHERS);
    end_look(&view);
}

static void a_thread_keeps_its_colour_while_others_come_if_it_can(void **state)
{
    (void)state;
    const struct piece pieces[] = {{3, 3, 5}, {3, 1, 2}, {3, 2, 8}, {9, 9, 9}, {3, 3, 10}};
    const int colours[] = {5, 2, 8, 1, 3};
    for (size_t count = 1; count <= COUNT(pieces); count++) {
        struct view view;
        make_heap("heap", pieces, count, 0);
        assert_true(look_at(&view, "heap", 100) && view.whole);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(view.map.shares[colours[i]].thread, pieces[i].owner);
        assert_int_equal(view.map.legend[count], 0);
        end_look(&view);
    }
}

static void of_ten_thousand_threads_no_byte_is_lost(void **state)
{
    (void)state;
    struct piece *pieces = calloc(10001, sizeof(*pieces));
    for (size_t i = 0; i < 10000; i++)
        pieces[i] = (struct piece){1, 1, (unsigned)i + 1};
    pieces[10000] = (struct piece){100, 50, 9999};
    make_heap("heap", pieces, 10001, 0);
    free(pieces);
    struct view view;
    assert_true(look_at(&view, "heap", 50) && view.whole);
    assert_int_equal(shared_bytes(&view.map), view.map.used - page);
    bool found = false;
    for (int colour = 1; colour <= MAP_THREADS; colour++)
        found |= view.map.shares[colour].thread == 9999;
    assert_true(found);
    end_look(&view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(the_threads_with_most_bytes_have_a_colour_each_and_the_others_share_one),
        IN_FRESH_DIRECTORY(a_thread_keeps_its_colour_while_others_come_if_it_can),
        IN_FRESH_DIRECTORY(of_ten_thousand_threads_no_byte_is_lost),
    };
    return cmocka_run_group_tests(tests, find_page_size, NULL);
}
