/* What the builder leaves in index.filz, and a worker finds there. The Rust side of it is made from this header.
 *
 * A heap has one root. The root of this heap is a table of roots, `struct index`, whose members are the named objects.
 * Boost.Interprocess looks such an object up by a string at run time (`construct<T>("words")`, `find<T>("words")`).
 * Here the compiler looks the member up and checks its type, and the tag says that both programs have the same table.
 */
#ifndef INDEX_H
#define INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_PATH "index.filz"

/* The last byte is the number of the layout: raise it when a struct below changes. A program of another layout is then
 * refused (FILZ_ETAG). */
#define INDEX_TAG 0x696e64657801u

/* Version V is an index of so many lines of the text, from line V on. So most answers differ from version to version.
 */
#define INDEX_LINES 100

struct word {
    const char *text;
    const uint32_t
        *lines; /* numbers of lines, one for each time that the word is there, in order; the first line is 0 */
    size_t count;
};

struct line {
    const struct word *const *words;
    size_t count;
};

struct statistics {
    size_t words; /* of the text, the same word counted each time */
    const struct word *most_frequent;
};

/* The table of roots. */
struct index {
    uint64_t version;
    bool last;                /* no other version will follow, and the workers end */
    const struct word *words; /* in the order of strcmp */
    size_t word_count;
    const struct line *lines;
    size_t line_count;
    const struct statistics *statistics;
};

#endif
