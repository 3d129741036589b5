/* Looks words up in the newest index that the builder has published, until the last one.
 *
 *     worker TEXT
 *
 * It knows from the text what each version must say, and counts the answers that are wrong. After every 100 answers it
 * asks whether there is a newer version. */
#include "index.h"
#include "text.h"

#include <filz/mmap.h>
#include <string.h>

static void check(int error)
{
    if (error == 0)
        return;
    fprintf(stderr, "%s: %s\n", INDEX_PATH, filz_error_text(error));
    exit(1);
}

static int compare(const void *text, const void *word)
{
    return strcmp(text, ((const struct word *)word)->text);
}

static const struct word *find(const struct index *index, const char *text)
{
    return bsearch(text, index->words, index->word_count, sizeof(struct word), compare);
}

static bool has_word(const struct line *line, const struct word *word)
{
    size_t i = 0;
    while (i < line->count && line->words[i] != word)
        i++;
    return i < line->count;
}

/* Whether the index has this word in the lines where the text has it, and in no other. */
static bool is_right(const struct index *index, const char *text)
{
    const struct word *word = find(index, text);
    size_t found = word != NULL ? word->count : 0, count = 0;
    const struct place *first = first_place(index->version), *end = first_place(index->version + INDEX_LINES);
    for (const struct place *place = first; place < end; place++) {
        if (strcmp(place->word, text) != 0)
            continue;
        size_t line = place->line - index->version;
        if (count == found || word->lines[count] != line || !has_word(&index->lines[line], word))
            return false;
        count++;
    }
    return count == found && index->statistics->words == (size_t)(end - first) &&
           (word == NULL || word->count <= index->statistics->most_frequent->count);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: worker TEXT\n");
        return 2;
    }
    read_text(argv[1]);
    filz_mmap heap = {.path = INDEX_PATH, .flags = FILZ_MMAP_READ_ONLY, .tag = INDEX_TAG};
    size_t versions = 0, lookups = 0, wrong = 0;
    uint64_t version = 0;
    for (bool last = false; !last; filz_mmap_close(&heap)) {
        check(filz_mmap_open(&heap));
        const struct index *index = filz_mmap_root(&heap);
        wrong += index->version <= version; /* any other version is newer */
        version = index->version;
        last = index->last;
        versions++;
        do
            for (int i = 0; i < 100; i++)
                wrong += !is_right(index, places[lookups++ % place_count].word);
        while (!last && filz_mmap_is_current(&heap));
    }
    printf("%zu versions, %zu lookups, %zu wrong\n", versions, lookups, wrong);
    return wrong > 0;
}
