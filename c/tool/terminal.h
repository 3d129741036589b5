/* The page map as lines of text, for `map`, which prints them, and `watch`, which gives them to ncurses. */
#ifndef FILZ_TOOL_TERMINAL_H
#define FILZ_TOOL_TERMINAL_H

#include "page_map.h"
#include "reader.h"

#include <stdbool.h>
#include <stddef.h>

/* Writes lines. A colour is one of the map's, or PLAIN. */
struct pen {
    int width;
    bool utf8, coloured;
    void (*write)(const char *text, int colour);
    void (*end_line)(void);
};

enum { PLAIN = -1 };

enum { HEAD_ROWS = 2, LEGEND_ROWS = 5 };

/* Whether the environment asks for no colours: https://no-color.org. */
bool colours_unwanted(void);

/* The number of a map colour on a terminal with this many colours. */
int terminal_colour(int colours, int colour);

/* How many cells fit on a screen besides the head, the legend, and `other_rows`; at least 1. */
size_t cells_on_screen(int columns, int rows, int other_rows);

/* At most HEAD_ROWS lines: which file, whose, and how full. */
void draw_head(const struct pen *pen, const struct reader *reader, const struct page_map *map);

void draw_cells(const struct pen *pen, const struct page_map *map);

/* At most LEGEND_ROWS lines: what the characters and the colours are. */
void draw_legend(const struct pen *pen, const struct page_map *map);

/* One line, as much of it as fits. */
void draw_line(const struct pen *pen, const char *text);

#endif
