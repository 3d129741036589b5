/* Draws a page map with characters. It may write only through the pen, and only what fits the screen. */
#include "terminal.h"

#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { LINE = 4096 };

bool colours_unwanted(void)
{
    const char *no_color = getenv("NO_COLOR");
    return no_color != NULL && no_color[0] != '\0';
}

int terminal_colour(int colours, int colour)
{
    /* The palette of svg.c, lighter where it would be lost on a black screen. */
    static const int of_256[MAP_COLOURS] = {245, 32, 178, 36, 175, 74, 166, 98, 125, 245};
    static const int of_16[MAP_COLOURS] = {7, 4, 3, 2, 5, 6, 1, 12, 13, 8};
    static const int of_8[MAP_COLOURS] = {7, 4, 3, 2, 5, 6, 1, 7, 7, 7};
    return colours >= 256 ? of_256[colour] : colours >= 16 ? of_16[colour] : of_8[colour];
}

size_t cells_on_screen(int columns, int rows, int other_rows)
{
    int left = rows - HEAD_ROWS - LEGEND_ROWS - other_rows;
    return (size_t)(columns > 1 ? columns : 1) * (size_t)(left > 1 ? left : 1);
}

/* --- words --- */

static int width_of(const char *text)
{
    wchar_t wide[LINE];
    size_t length = mbstowcs(wide, text, LINE);
    int width = length < LINE ? wcswidth(wide, length) : -1;
    return width >= 0 ? width : (int)strlen(text);
}

/* The tail of `text` that is at most this wide. */
static const char *tail_of(const char *text, int width)
{
    while (*text != '\0' && width_of(text) > width) {
        int bytes = mblen(text, MB_CUR_MAX);
        text += bytes > 0 ? bytes : 1;
    }
    return text;
}

/* Items one after the other, in at most `rows` lines; what doesn't fit is left out. */
struct flow {
    const struct pen *pen;
    const char *between;
    int rows, column;
};

static void flow_on(struct flow *flow, const char *glyph, int colour, const char *text)
{
    int width = width_of(text) + (glyph != NULL ? 2 : 0);
    int gap = flow->column > 0 ? (int)strlen(flow->between) : 0;
    if (gap > 0 && flow->column + gap + width > flow->pen->width) {
        if (flow->rows == 1) {
            flow->rows = 0;
            return;
        }
        flow->pen->end_line();
        flow->rows--;
        flow->column = gap = 0;
    }
    if (flow->rows < 1 || width > flow->pen->width)
        return;
    flow->pen->write(gap > 0 ? flow->between : "", PLAIN);
    if (glyph != NULL) {
        flow->pen->write(glyph, colour);
        flow->pen->write(" ", PLAIN);
    }
    flow->pen->write(text, PLAIN);
    flow->column += gap + width;
}

static void end_flow(struct flow *flow)
{
    if (flow->column > 0)
        flow->pen->end_line();
    flow->column = 0;
    if (flow->rows > 0)
        flow->rows--;
}

void draw_line(const struct pen *pen, const char *text)
{
    char line[LINE];
    int length = snprintf(line, sizeof(line), "%s", text);
    while (length > 0 && (length >= LINE || width_of(line) > pen->width)) {
        length = (length < LINE ? length : LINE) - 1;
        while (length > 0 && (line[length] & 0xC0) == 0x80)
            length--;
        line[length] = '\0';
    }
    pen->write(line, PLAIN);
    pen->end_line();
}

/* --- head --- */

static void draw_name(const struct pen *pen, const struct reader *reader)
{
    char path[LINE], program[FZ_PROGRAM_MAX + 1], about[LINE], line[2 * LINE];
    const struct fz_header *header = &reader->header;
    legible(path, sizeof(path), reader->path, sizeof(path));
    legible(program, sizeof(program), header->program, FZ_PROGRAM_MAX);
    if (header->cursor == 0)
        strcpy(about, ": no heap yet");
    else
        snprintf(about, sizeof(about), ": %s, pid %" PRIu32 ", %s", program, header->pid,
                 reader->use == FILE_IN_USE   ? "in use"
                 : header->clean              ? "closed"
                 : reader->use == FILE_UNUSED ? "not in use, never closed"
                 : reader->use == FILE_READ   ? "only read, never closed"
                                              : "in use or never closed");
    const char *tail = tail_of(path, pen->width - width_of(about));
    if (tail > path)
        tail = tail_of(tail, pen->width - width_of(about) - 3);
    snprintf(line, sizeof(line), "%s%s%s", tail > path ? "..." : "", tail, about);
    draw_line(pen, line);
}

static void flow_number(struct flow *flow, uint64_t number, const char *one, const char *many)
{
    char digits[NUMBER_TEXT], text[LINE];
    snprintf(text, sizeof(text), "%s %s", number_text(digits, number), number == 1 ? one : many);
    flow_on(flow, NULL, PLAIN, text);
}

void draw_head(const struct pen *pen, const struct reader *reader, const struct page_map *map)
{
    char used[NUMBER_TEXT], size[NUMBER_TEXT], in_ram[NUMBER_TEXT], text[LINE];
    struct flow flow = {.pen = pen, .between = ", ", .rows = HEAD_ROWS - 1};
    uint64_t file = map->pages * map->page_size, pages_in_ram = 0;
    for (int kind = 0; kind < PAGE_KINDS; kind++)
        pages_in_ram += map->total.in_ram[kind];
    draw_name(pen, reader);
    snprintf(text, sizeof(text), "%s of %s used (%.1f%%)", size_text(used, map->used), size_text(size, file),
             percent_of(map->used, file));
    flow_on(&flow, NULL, PLAIN, text);
    snprintf(text, sizeof(text), "%s in RAM", size_text(in_ram, pages_in_ram * map->page_size));
    flow_on(&flow, NULL, PLAIN, text);
    flow_number(&flow, map->blocks, "block", "blocks");
    flow_number(&flow, map->chunks, "chunk", "chunks");
    end_flow(&flow);
}

/* --- cells --- */

enum { GLYPH_USED, GLYPH_USED_AWAY, GLYPH_TAIL, GLYPH_FREE, GLYPH_UNKNOWN };

static const char *glyph_text(const struct pen *pen, int glyph)
{
    static const char *const blocks[] = {"█", "▓", "▒", "░", "?"};
    static const char *const letters[] = {"#", "+", "-", ".", "?"};
    return pen->utf8 ? blocks[glyph] : letters[glyph];
}

static int glyph_of(struct cell_look look)
{
    if (look.kind == PAGE_USED)
        return look.in_ram ? GLYPH_USED : GLYPH_USED_AWAY;
    return look.kind == PAGE_TAIL ? GLYPH_TAIL : look.kind == PAGE_FREE ? GLYPH_FREE : GLYPH_UNKNOWN;
}

static int colour_of(struct cell_look look)
{
    return look.kind == PAGE_UNKNOWN ? PLAIN : look.colour;
}

void draw_cells(const struct pen *pen, const struct page_map *map)
{
    size_t columns = (size_t)(pen->width > 1 ? pen->width : 1);
    for (size_t i = 0; i < map->count; i++) {
        struct cell_look look = page_map_look(map, i);
        pen->write(glyph_text(pen, glyph_of(look)), colour_of(look));
        if ((i + 1) % columns == 0 || i + 1 == map->count)
            pen->end_line();
    }
}

/* --- legend --- */

static void flow_kind(struct flow *flow, int glyph, const char *name, uint64_t pages)
{
    char digits[NUMBER_TEXT], text[LINE];
    if (pages == 0)
        return;
    snprintf(text, sizeof(text), "%s %s", name, number_text(digits, pages));
    flow_on(flow, glyph_text(flow->pen, glyph), PLAIN, text);
}

static void flow_kinds(struct flow *flow, const struct page_map *map)
{
    const struct page_cell *total = &map->total;
    char digits[NUMBER_TEXT], size[NUMBER_TEXT], text[LINE];
    snprintf(text, sizeof(text), "Pages, %s (%s) each:", number_text(digits, map->per_cell),
             size_text(size, map->per_cell * map->page_size));
    flow_on(flow, NULL, PLAIN, text);
    flow_kind(flow, GLYPH_USED, "used", total->in_ram[PAGE_USED]);
    flow_kind(flow, GLYPH_USED_AWAY, "not in RAM", total->pages[PAGE_USED] - total->in_ram[PAGE_USED]);
    flow_kind(flow, GLYPH_TAIL, "tail of a chunk", total->pages[PAGE_TAIL]);
    flow_kind(flow, GLYPH_FREE, "free", total->pages[PAGE_FREE]);
    flow_kind(flow, GLYPH_UNKNOWN, "after damage", total->pages[PAGE_UNKNOWN]);
}

static void flow_threads(struct flow *flow, const struct page_map *map)
{
    const char *glyph = flow->pen->coloured ? glyph_text(flow->pen, GLYPH_USED) : NULL;
    char size[NUMBER_TEXT], text[LINE];
    if (map->legend[0] != 0)
        flow_on(flow, NULL, PLAIN, "Threads:");
    for (size_t i = 0; i < MAP_OTHERS && map->legend[i] != 0; i++) {
        const struct thread_share *share = &map->shares[map->legend[i]];
        size_text(size, share->bytes);
        if (share->thread != 0)
            snprintf(text, sizeof(text), "%u: %s", share->thread, size);
        else
            snprintf(text, sizeof(text), "others: %s", size);
        flow_on(flow, glyph, map->legend[i], text);
    }
}

void draw_legend(const struct pen *pen, const struct page_map *map)
{
    struct flow flow = {.pen = pen, .between = "  ", .rows = LEGEND_ROWS};
    flow_kinds(&flow, map);
    end_flow(&flow);
    flow_threads(&flow, map);
    end_flow(&flow);
}
