/* The text, as a list of words: the builder indexes them, and a worker checks its answers against them. */
#ifndef TEXT_H
#define TEXT_H

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct place {
    const char *word;
    size_t line;
};

static struct place places[100000];
static size_t place_count;

/* A word is what is between blanks. */
static void read_text(const char *path)
{
    static char text[2 * sizeof(places) / sizeof(places[0])]; /* a word takes at least two bytes */
    FILE *file = fopen(path, "r");
    size_t size = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (size == 0 || !feof(file)) {
        fprintf(stderr, "%s: can't be read, or is too long\n", path);
        exit(1);
    }
    fclose(file);
    for (size_t i = 0, line = 0; i < size; i++) {
        line += text[i] == '\n';
        if (isspace((unsigned char)text[i]))
            text[i] = '\0';
        else if (i == 0 || text[i - 1] == '\0')
            places[place_count++] = (struct place){&text[i], line};
    }
}

/* The first place in this line or a later one. */
static const struct place *first_place(size_t line)
{
    const struct place *place = places;
    while (place < places + place_count && place->line < line)
        place++;
    return place;
}

#endif
