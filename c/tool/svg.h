/* The page map as a picture (SVG), for a browser or a document. */
#ifndef FILZ_TOOL_SVG_H
#define FILZ_TOOL_SVG_H

#include "page_map.h"
#include "reader.h"

#include <stdio.h>

/* The most cells that a picture has; it has at most some hundred KiB then. */
enum { SVG_CELLS = 96 * 60 };

void svg_draw(FILE *out, const struct reader *reader, const struct page_map *map);

#endif
