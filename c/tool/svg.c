/* Draws a page map as SVG: a white card, readable on light and dark pages, with one rectangle for each run of equal
 * cells. It may not write a byte of a name that has a meaning in XML, or is forbidden there. */
#include "svg.h"

#include "commands.h"

#include <inttypes.h>
#include <string.h>

enum {
    WIDTH = 768, /* of the grid */
    MARGIN = 24,
    GRID_TOP = 120,
    MOST_TITLES = 1200, /* runs with a title */
    KINDS_A_ROW = 3,    /* in the legend */
    THREADS_A_ROW = 4,
    ENTRY_HEIGHT = 40,
    NAME_WIDTH = 100, /* of a file name, in characters */
};

#define INK "#24292f"
#define PALE "#57606a"
#define FREE_FILL "#e6eaef"
#define TAIL_OPACITY "0.3"
#define DAMAGE "#cf222e"

/* In a square of the legend, what the cells have in them. A pattern would be drawn otherwise by some programs. */
#define HOLE "<rect x=\"8\" y=\"8\" width=\"10\" height=\"10\" fill=\"#ffffff\"/>"
#define CROSS "<path d=\"M4 4L22 22M4 22L22 4\" stroke=\"" DAMAGE "\" stroke-width=\"4\"/>"

/* M. Okabe and K. Ito, Color Universal Design, 2008, without black and yellow; and two that stand out from them. */
static const char *const palette[MAP_COLOURS] = {INK,       "#0072b2", "#e69f00", "#009e73", "#cc79a7",
                                                 "#56b4e9", "#d55e00", "#5e3c99", "#882255", "#7a7a7a"};

struct grid {
    size_t columns, rows;
    size_t side; /* of a cell, in pixels; of these are `gap` white, at its left and its top */
    size_t gap;
};

/* --- names --- */

/* The length of the UTF-8 character that `text` begins with, if XML allows it; else 0. */
static size_t character_length(const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;
    static const struct {
        unsigned char mask, mark;
        uint32_t least;
    } kinds[] = {{0x80, 0, 0x20}, {0xE0, 0xC0, 0x80}, {0xF0, 0xE0, 0x800}, {0xF8, 0xF0, 0x10000}};
    for (size_t length = 1; length <= 4; length++) {
        if ((bytes[0] & kinds[length - 1].mask) != kinds[length - 1].mark)
            continue;
        uint32_t code = bytes[0] & (unsigned char)~kinds[length - 1].mask;
        for (size_t i = 1; i < length; i++) {
            if ((bytes[i] & 0xC0) != 0x80)
                return 0;
            code = code << 6 | (bytes[i] & 0x3F);
        }
        bool forbidden = code < kinds[length - 1].least || (code >= 0x7F && code < 0xA0) || code > 0x10FFFF ||
                         (code >= 0xD800 && code < 0xE000) || (code & 0xFFFE) == 0xFFFE;
        return forbidden ? 0 : length;
    }
    return 0;
}

static void write_character(FILE *out, const char *text, size_t length)
{
    if (length == 0)
        fputs("\xEF\xBF\xBD", out); /* U+FFFD */
    else if (*text == '<' || *text == '>' || *text == '&' || *text == '"' || *text == '\'')
        fprintf(out, "&#%d;", *text);
    else
        fwrite(text, 1, length, out);
}

static size_t characters_in(const char *text)
{
    size_t count = 0;
    for (size_t length; *text != '\0'; text += length != 0 ? length : 1, count++)
        length = character_length(text);
    return count;
}

/* The last characters of a name. */
static void write_name(FILE *out, const char *text, size_t most)
{
    size_t count = characters_in(text);
    if (count > most)
        fputs("…", out);
    for (size_t length; *text != '\0'; text += length != 0 ? length : 1) {
        length = character_length(text);
        if (count-- <= most)
            write_character(out, text, length);
    }
}

/* --- the grid --- */

/* Cells as large as possible in a grid that isn't much higher than wide. */
static struct grid grid_for(size_t cells)
{
    static const size_t columns[] = {12, 16, 24, 32, 48, 64, 96};
    size_t i = 0;
    while (columns[i] < 96 && (cells + columns[i] - 1) / columns[i] > columns[i] * 5 / 8)
        i++;
    size_t side = WIDTH / columns[i];
    return (struct grid){columns[i], (cells + columns[i] - 1) / columns[i], side, side < 16 ? 1 : 2};
}

/* --- words --- */

static void write_program(FILE *out, const struct reader *reader)
{
    char program[sizeof(reader->header.program) + 1] = "";
    memcpy(program, reader->header.program, sizeof(reader->header.program));
    if (program[0] == '\0') {
        fputs("A heap", out);
        return;
    }
    fputs("The heap of ", out);
    write_name(out, program, sizeof(program));
}

static void write_facts(FILE *out, const struct page_map *map)
{
    char used[NUMBER_TEXT], size[NUMBER_TEXT], blocks[NUMBER_TEXT], chunks[NUMBER_TEXT];
    uint64_t bytes = map->pages * map->page_size;
    fprintf(out, "%s of %s used (%.1f%%), %s block%s in %s chunk%s", size_text(used, map->used), size_text(size, bytes),
            percent_of(map->used, bytes), number_text(blocks, map->blocks), plural(map->blocks),
            number_text(chunks, map->chunks), plural(map->chunks));
}

static void write_scale(FILE *out, const struct page_map *map)
{
    char pages[NUMBER_TEXT], each[NUMBER_TEXT], size[NUMBER_TEXT];
    fprintf(out, "%s pages of %s; ", number_text(pages, map->pages), size_text(size, map->page_size));
    if (map->per_cell == 1)
        fputs("a square is one page", out);
    else
        fprintf(out, "a square is %s pages (%s), shown as most of them are", number_text(each, map->per_cell),
                size_text(size, map->per_cell * map->page_size));
}

static void write_alternative(FILE *out, const struct reader *reader, const struct page_map *map)
{
    fputs("<title id=\"filz-title\">", out);
    write_program(out, reader);
    fputs("</title>\n<desc id=\"filz-desc\">The pages of ", out);
    write_name(out, reader->path, SIZE_MAX);
    fputs(": ", out);
    write_facts(out, map);
    fputs("; ", out);
    write_scale(out, map);
    fputs(".</desc>\n", out);
}

static void write_head(FILE *out, const struct reader *reader, const struct page_map *map)
{
    fprintf(out, "<text x=\"%d\" y=\"42\" font-size=\"20\" font-weight=\"bold\">", MARGIN);
    write_program(out, reader);
    fprintf(out, "</text>\n<text x=\"%d\" y=\"65\" fill=\"" PALE "\">", MARGIN);
    write_name(out, reader->path, NAME_WIDTH);
    fprintf(out, "</text>\n<text x=\"%d\" y=\"83\" fill=\"" PALE "\">", MARGIN);
    write_facts(out, map);
    fprintf(out, "</text>\n<text x=\"%d\" y=\"101\" fill=\"" PALE "\">", MARGIN);
    write_scale(out, map);
    fputs("</text>\n", out);
}

/* --- fills --- */

/* Used, but not in RAM: a square with a hole in its middle. */
static void write_hollow(FILE *out, const struct grid *grid, int colour)
{
    size_t side = grid->side, frame = (side - grid->gap) * 3 / 10;
    size_t hole = side - grid->gap - 2 * frame;
    fprintf(out,
            "<pattern id=\"filz-away-%d\" width=\"%zu\" height=\"%zu\" patternUnits=\"userSpaceOnUse\" "
            "patternTransform=\"scale(%.6g)\"><rect width=\"%zu\" height=\"%zu\" fill=\"%s\"/>"
            "<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%zu\" fill=\"#ffffff\"/></pattern>\n",
            colour, side, side, 1 / (double)side, side, side, palette[colour], grid->gap + frame, grid->gap + frame,
            hole, hole);
}

/* Cells are drawn in a grid in which each is 1 wide. */
static void write_patterns(FILE *out, const struct grid *grid)
{
    fputs("<defs>\n", out);
    for (int colour = 0; colour < MAP_COLOURS; colour++)
        write_hollow(out, grid, colour);
    fprintf(out,
            "<pattern id=\"filz-lost\" width=\"1\" height=\"1\" patternUnits=\"userSpaceOnUse\">"
            "<rect width=\"1\" height=\"1\" fill=\"#ffffff\"/>"
            "<path d=\"M0.2 0.2L0.9 0.9M0.2 0.9L0.9 0.2\" stroke=\"" DAMAGE "\" stroke-width=\"0.15\"/></pattern>\n"
            "<pattern id=\"filz-lines\" width=\"%zu\" height=\"%zu\" patternUnits=\"userSpaceOnUse\">"
            "<path d=\"M0 0H%zuM0 0V%zu\" stroke=\"#ffffff\" stroke-width=\"%zu\" fill=\"none\"/></pattern>\n"
            "</defs>\n",
            grid->side, grid->side, grid->side, grid->side, 2 * grid->gap);
}

static void begin_fill(FILE *out, struct cell_look look)
{
    const char *colour = palette[look.colour];
    if (look.kind == PAGE_FREE)
        fputs("<g fill=\"" FREE_FILL "\">\n", out);
    else if (look.kind == PAGE_UNKNOWN)
        fputs("<g fill=\"url(#filz-lost)\">\n", out);
    else if (look.kind == PAGE_TAIL)
        fprintf(out, "<g fill=\"%s\" fill-opacity=\"" TAIL_OPACITY "\">\n", colour);
    else if (look.in_ram)
        fprintf(out, "<g fill=\"%s\">\n", colour);
    else
        fprintf(out, "<g fill=\"url(#filz-away-%d)\">\n", look.colour);
}

/* --- cells --- */

static size_t end_of_run(const struct page_map *map, const struct grid *grid, size_t first, struct cell_look look)
{
    size_t i = first + 1;
    while (i < map->count && i % grid->columns != 0 && page_map_same_look(page_map_look(map, i), look))
        i++;
    return i;
}

static size_t count_runs(const struct page_map *map, const struct grid *grid)
{
    size_t count = 0;
    for (size_t i = 0; i < map->count; count++)
        i = end_of_run(map, grid, i, page_map_look(map, i));
    return count;
}

static void write_run_title(FILE *out, const struct page_map *map, size_t first, size_t end, struct cell_look look)
{
    static const char *const kinds[PAGE_KINDS] = {"used", "tail of a chunk", "free", "after damage"};
    char from[NUMBER_TEXT], to[NUMBER_TEXT];
    uint64_t start = page_map_first(map, first), last = page_map_first(map, end) - 1;
    if (start == last)
        fprintf(out, "<title>page %s: ", number_text(from, start));
    else
        fprintf(out, "<title>pages %s to %s: ", number_text(from, start), number_text(to, last));
    fprintf(out, "%s%s", kinds[look.kind], look.kind == PAGE_USED && !look.in_ram ? ", not in RAM" : "");
    if (look.colour == MAP_OTHERS)
        fputs(", another thread", out);
    else if (look.colour != 0)
        fprintf(out, ", thread %u", map->shares[look.colour].thread);
    fputs("</title>", out);
}

static void write_runs(FILE *out, const struct page_map *map, const struct grid *grid, struct cell_look look,
                       bool with_titles)
{
    bool begun = false;
    for (size_t i = 0, end; i < map->count; i = end) {
        struct cell_look found = page_map_look(map, i);
        end = end_of_run(map, grid, i, found);
        if (!page_map_same_look(found, look))
            continue;
        if (!begun)
            begin_fill(out, look);
        begun = true;
        fprintf(out, "<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"1\"", i % grid->columns, i / grid->columns,
                end - i);
        fputs(with_titles ? ">" : "/>\n", out);
        if (with_titles) {
            write_run_title(out, map, i, end, look);
            fputs("</rect>\n", out);
        }
    }
    if (begun)
        fputs("</g>\n", out);
}

static void write_cells(FILE *out, const struct page_map *map, const struct grid *grid)
{
    bool with_titles = count_runs(map, grid) <= MOST_TITLES;
    fprintf(out, "<g transform=\"translate(%d %d) scale(%zu)\" shape-rendering=\"crispEdges\">\n", MARGIN, GRID_TOP,
            grid->side);
    for (int colour = 0; colour < MAP_COLOURS; colour++) {
        write_runs(out, map, grid, (struct cell_look){PAGE_USED, true, colour}, with_titles);
        write_runs(out, map, grid, (struct cell_look){PAGE_USED, false, colour}, with_titles);
        write_runs(out, map, grid, (struct cell_look){PAGE_TAIL, false, colour}, with_titles);
    }
    write_runs(out, map, grid, (struct cell_look){PAGE_FREE, false, 0}, with_titles);
    write_runs(out, map, grid, (struct cell_look){PAGE_UNKNOWN, false, 0}, with_titles);
    fprintf(out,
            "</g>\n<g transform=\"translate(%d %d)\" pointer-events=\"none\">"
            "<rect width=\"%zu\" height=\"%zu\" fill=\"url(#filz-lines)\"/></g>\n",
            MARGIN, GRID_TOP, grid->columns * grid->side, grid->rows * grid->side);
}

/* --- legend --- */

/* Entries in rows, each a square with a name and numbers beside it. If `out` is NULL, they are only counted. */
struct legend {
    FILE *out;
    size_t top, in_a_row, entries;
};

/* `mark` is what the square has in it, of 26 by 26. */
static void write_entry(struct legend *legend, const char *fill, const char *opacity, const char *mark,
                        const char *name, const char *numbers)
{
    size_t x = MARGIN + legend->entries % legend->in_a_row * (WIDTH / legend->in_a_row);
    size_t y = legend->top + legend->entries / legend->in_a_row * ENTRY_HEIGHT;
    legend->entries++;
    if (legend->out == NULL)
        return;
    fprintf(legend->out,
            "<g transform=\"translate(%zu %zu)\"><rect width=\"26\" height=\"26\" fill=\"%s\" fill-opacity=\"%s\"/>"
            "%s</g><text x=\"%zu\" y=\"%zu\">%s</text><text x=\"%zu\" y=\"%zu\" fill=\"" PALE "\">%s</text>\n",
            x, y, fill, opacity, mark, x + 34, y + 10, name, x + 34, y + 25, numbers);
}

static void write_kind(struct legend *legend, const struct page_map *map, const char *fill, const char *opacity,
                       const char *mark, const char *name, uint64_t pages)
{
    char number[NUMBER_TEXT], size[NUMBER_TEXT], text[3 * NUMBER_TEXT];
    if (pages == 0)
        return;
    snprintf(text, sizeof(text), "%s pages, %s", number_text(number, pages), size_text(size, pages * map->page_size));
    write_entry(legend, fill, opacity, mark, name, text);
}

static void write_kinds(struct legend *legend, const struct page_map *map)
{
    const struct page_cell *total = &map->total;
    write_kind(legend, map, INK, "1", "", "used, in RAM", total->in_ram[PAGE_USED]);
    write_kind(legend, map, INK, "1", HOLE, "used, not in RAM", total->pages[PAGE_USED] - total->in_ram[PAGE_USED]);
    write_kind(legend, map, INK, TAIL_OPACITY, "", "unused tail of a chunk", total->pages[PAGE_TAIL]);
    write_kind(legend, map, FREE_FILL, "1", "", "free", total->pages[PAGE_FREE]);
    write_kind(legend, map, "#ffffff", "1", CROSS, "after damage", total->pages[PAGE_UNKNOWN]);
}

static void write_threads(struct legend *legend, const struct page_map *map)
{
    char size[NUMBER_TEXT], name[NUMBER_TEXT], numbers[2 * NUMBER_TEXT];
    for (size_t i = 0; i < MAP_OTHERS && map->legend[i] != 0; i++) {
        const struct thread_share *share = &map->shares[map->legend[i]];
        snprintf(name, sizeof(name), "thread %u", share->thread);
        snprintf(numbers, sizeof(numbers), "%s, %.1f%%", size_text(size, share->bytes),
                 percent_of(share->bytes, map->used));
        write_entry(legend, palette[map->legend[i]], "1", "", share->thread != 0 ? name : "other threads", numbers);
    }
}

static size_t bottom_of(const struct legend *legend)
{
    return legend->top + (legend->entries + legend->in_a_row - 1) / legend->in_a_row * ENTRY_HEIGHT;
}

static size_t write_legend(FILE *out, const struct page_map *map, size_t top)
{
    struct legend kinds = {out, top, KINDS_A_ROW, 0};
    write_kinds(&kinds, map);
    struct legend threads = {out, bottom_of(&kinds) + 8, THREADS_A_ROW, 0};
    write_threads(&threads, map);
    return bottom_of(&threads);
}

void svg_draw(FILE *out, const struct reader *reader, const struct page_map *map)
{
    struct grid grid = grid_for(map->count);
    size_t legend_top = GRID_TOP + grid.rows * grid.side + MARGIN;
    size_t width = WIDTH + 2 * MARGIN, height = write_legend(NULL, map, legend_top) + MARGIN / 2;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%zu\" height=\"%zu\" viewBox=\"0 0 %zu %zu\" "
            "font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"" INK "\" role=\"img\" "
            "aria-labelledby=\"filz-title filz-desc\">\n",
            width, height, width, height);
    write_alternative(out, reader, map);
    write_patterns(out, &grid);
    fprintf(out,
            "<rect x=\"0.5\" y=\"0.5\" width=\"%zu\" height=\"%zu\" rx=\"6\" fill=\"#ffffff\" stroke=\"#d0d7de\"/>\n",
            width - 1, height - 1);
    write_head(out, reader, map);
    write_cells(out, map, &grid);
    write_legend(out, map, legend_top);
    fputs("</svg>\n", out);
}
