/* What is drawn of the page map, on a terminal and as a picture (SVG): its size, and that of damaged heaps. */
#include "../../c/tool/svg.h"
#include "../../c/tool/terminal.h"
#include "made_maps.h"

#include <wchar.h>

static int lines_drawn, column, widest;

static void count_text(const char *text, int colour)
{
    wchar_t wide[4096];
    assert_in_range(colour + 1, 0, MAP_COLOURS);
    size_t length = mbstowcs(wide, text, COUNT(wide));
    assert_true(length < COUNT(wide));
    int width = wcswidth(wide, length);
    assert_true(width >= 0);
    column += width;
    widest = column > widest ? column : widest;
}

static void count_line(void)
{
    lines_drawn++;
    column = 0;
}

static void draw_all(const struct view *view, int width, bool utf8, bool coloured)
{
    struct pen pen = {width, utf8, coloured, count_text, count_line};
    lines_drawn = column = widest = 0;
    draw_head(&pen, &view->reader, &view->map);
    draw_cells(&pen, &view->map);
    draw_legend(&pen, &view->map);
    assert_int_equal(column, 0);
}

static void a_drawing_fits_every_screen(void **state)
{
    (void)state;
    make_heap_of_threads(20, 30);
    for (int width = 1; width <= 200; width++)
        for (int rows = 1; rows <= 60; rows += width % 7 + 1) {
            struct view view;
            assert_true(look_at(&view, "heap", cells_on_screen(width, rows, 0)));
            draw_all(&view, width, rows % 2, rows % 3);
            assert_true(widest <= width);
            assert_true(lines_drawn <= (rows > HEAD_ROWS + LEGEND_ROWS ? rows : HEAD_ROWS + 1 + LEGEND_ROWS));
            end_look(&view);
        }
}

static size_t picture_size(const struct view *view)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    svg_draw(out, &view->reader, &view->map);
    assert_int_equal(fclose(out), 0);
    free(text);
    return size;
}

/* The worst there is: no two cells that lie side by side look the same. */
static void a_picture_has_at_most_512_kib(void **state)
{
    (void)state;
    struct piece *pieces = calloc(SVG_CELLS - 1, sizeof(*pieces));
    for (size_t i = 0; i < SVG_CELLS - 1; i++)
        pieces[i] = (struct piece){1, 1, (unsigned)(i % 9) + 1};
    make_heap("heap", pieces, SVG_CELLS - 1, 0);
    free(pieces);
    struct view view;
    assert_true(look_at(&view, "heap", SVG_CELLS) && view.whole);
    assert_int_equal(view.map.count, SVG_CELLS);
    size_t size = picture_size(&view);
    assert_true(size <= 512 * KIB);
    print_message("a picture of %d cells has %zu bytes at most\n", SVG_CELLS, size);
    end_look(&view);
}

/* -- Damage -------------------------------------------------------------------------------------------------------- */

static void damage(int fd, unsigned *seed, bool in_header)
{
    uint64_t value = (uint64_t)rand_r(seed) << (rand_r(seed) % 40);
    if (rand_r(seed) % 2)
        value = BASE + (uint64_t)rand_r(seed) % 40 * page;
    off_t place = in_header ? rand_r(seed) % (int)sizeof(struct fz_header)
                            : (off_t)((size_t)rand_r(seed) % 30 * page) + rand_r(seed) % 9 * 8;
    size_t size = (size_t)1 << rand_r(seed) % 4;
    assert_int_equal(pwrite(fd, &value, size, place), size);
}

/* A checksum that is wrong would end most rounds at the door. */
static void fix_checksum(int fd)
{
    struct fz_header header;
    assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
    header.checksum = fz_header_checksum(&header);
    assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
}

static void a_damaged_heap_is_drawn_as_far_as_it_goes(void **state)
{
    (void)state;
    size_t rounds = rounds_of(20000), opened = 0, whole = 0;
    unsigned seed = 1;
    for (size_t round = 0; round < rounds; round++) {
        const struct piece pieces[] = {{4, 4, 1}, {6, 1, 2}, {1, 1, 3}, {9, 8, 4}, {5, 3, 5}};
        make_heap("heap", pieces, COUNT(pieces), 4);
        int fd = open("heap", O_RDWR);
        for (int i = 0; i <= rand_r(&seed) % 3; i++)
            damage(fd, &seed, rand_r(&seed) % 4 == 0);
        fix_checksum(fd);
        close(fd);
        struct view view;
        if (!look_at(&view, "heap", (size_t)rand_r(&seed) % 40 + 1))
            continue;
        check_cells(&view.map);
        draw_all(&view, rand_r(&seed) % 100 + 1, true, true);
        assert_true(picture_size(&view) > 0);
        opened++;
        whole += view.whole;
        end_look(&view);
    }
    print_message("%zu damaged heaps: %zu could be opened, %zu were walked to the end\n", rounds, opened, whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_drawing_fits_every_screen),
        IN_FRESH_DIRECTORY(a_picture_has_at_most_512_kib),
        IN_FRESH_DIRECTORY(a_damaged_heap_is_drawn_as_far_as_it_goes),
    };
    return cmocka_run_group_tests(tests, find_page_size, NULL);
}
