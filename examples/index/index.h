/* What the builder leaves in index.filz for a worker. Its Rust bindings are generated from this header.
 *
 * A heap has one root. The root of this heap is a table of roots, `struct index`, whose members are the named objects.
 * Boost.Interprocess looks such an object up by a string at run time (`construct<T>("words")`, `find<T>("words")`).
 * Here the compiler finds the member and checks its type, and the tag says that both programs have the same table. */
#ifndef INDEX_H
#define INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_PATH "index.filz"

/* The last byte is the number of the layout: raise it when a struct below changes. A program of another layout is then
 * refused (FILZ_ETAG). */
#define INDEX_TAG 0x696e64657801u

/* Version V is an index of this many lines of the text, from line V on, so most answers differ between versions. */
#define INDEX_LINES 100

struct word {
    const char *text;
    const uint32_t *lines; /* numbers of lines, one for each occurrence of the word, in order; the first line is 0 */
    size_t count;
};

struct line {
    const struct word *const *words;
    size_t count;
};

struct statistics {
    size_t words; /* of the text, each occurrence counted */
    const struct word *most_frequent;
};

/* The table of roots. */
struct index {
    uint64_t version;
    bool last;                /* no version follows, and the workers end */
    const struct word *words; /* in the order of strcmp */
    size_t word_count;
    const struct line *lines;
    size_t line_count;
    const struct statistics *statistics;
};

#endif
