/* Builds 100 versions of an index, each in a new file, and publishes it under the name by which the workers read it.
 *
 *     builder TEXT
 *
 * A worker that has an older version open goes on reading it until it opens the name again. */
#define _POSIX_C_SOURCE 200809L
#include "index.h"
#include "text.h"

#include <filz/mmap.h>
#include <string.h>
#include <time.h>

enum { VERSIONS = 100 };

static filz_mmap heap = {.path = "index.new.filz", .flags = FILZ_MMAP_PERSISTENT, .tag = INDEX_TAG};

static void check(int error)
{
    if (error == 0)
        return;
    fprintf(stderr, "%s: %s\n", heap.path, filz_error_text(error));
    exit(1);
}

/* Zeroed. */
static void *allocate(size_t count, size_t size, size_t align)
{
    void *block = filz_mmap_alloc_zeroed(&heap, count * size, align);
    if (block == NULL) {
        perror(heap.path);
        exit(1);
    }
    return block;
}

#define NEW(type, count) ((type *)allocate(count, sizeof(type), _Alignof(type)))

static const char *copy(const char *text)
{
    return strcpy(NEW(char, strlen(text) + 1), text);
}

/* For qsort: by the word, and then as in the text. */
static int compare(const void *one, const void *other)
{
    const struct place *a = *(const struct place *const *)one, *b = *(const struct place *const *)other;
    int order = strcmp(a->word, b->word);
    return order != 0 ? order : (a > b) - (a < b);
}

static const struct index *build(size_t version)
{
    static const struct place *sorted[sizeof(places) / sizeof(places[0])];
    const struct place *first = first_place(version);
    size_t count = (size_t)(first_place(version + INDEX_LINES) - first);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &first[i];
    qsort(sorted, count, sizeof(sorted[0]), compare);

    struct word *words = NEW(struct word, count), *word = NULL;
    const struct word **text = NEW(const struct word *, count);
    uint32_t *numbers = NEW(uint32_t, count);
    size_t word_count = 0;
    struct statistics *statistics = NEW(struct statistics, 1);
    statistics->words = count;
    for (size_t i = 0; i < count; i++) {
        if (word == NULL || strcmp(word->text, sorted[i]->word) != 0) {
            word = &words[word_count++];
            *word = (struct word){copy(sorted[i]->word), &numbers[i], 0};
        }
        word->count++;
        numbers[i] = (uint32_t)(sorted[i]->line - version);
        text[sorted[i] - first] = word;
        if (statistics->most_frequent == NULL || statistics->most_frequent->count < word->count)
            statistics->most_frequent = word;
    }

    struct line *lines = NEW(struct line, INDEX_LINES);
    for (size_t i = 0; i < count; i++) {
        struct line *line = &lines[first[i].line - version];
        if (line->count++ == 0)
            line->words = &text[i];
    }

    struct index *index = NEW(struct index, 1);
    *index = (struct index){version, version == VERSIONS, words, word_count, lines, INDEX_LINES, statistics};
    return index;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: builder TEXT\n");
        return 2;
    }
    read_text(argv[1]);
    for (size_t version = 1; version <= VERSIONS; version++) {
        check(filz_mmap_open(&heap));
        check(filz_mmap_reset(&heap)); /* a builder that was killed leaves a part of an index */
        check(filz_mmap_set_root(&heap, build(version)));
        check(filz_mmap_publish(&heap, INDEX_PATH));
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL); /* so that workers see most versions */
    }
    return 0;
}
