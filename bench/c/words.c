/* An index of a text: for each word the places where it stands. An open-addressed table that doubles, a copy of each
 * word, and for each an array of places that doubles. */
#include "bench.h"

enum { LONGEST = 64 };

struct word {
    char *text;
    size_t *places;
    size_t count, capacity, hash;
};

static struct word *table;
static size_t slots, words, places;

static void *have(void *block)
{
    if (block == NULL)
        bench_fail("out of memory");
    return block;
}

/* FNV-1a */
static size_t hash_of(const char *text)
{
    uint64_t hash = 14695981039346656037u;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return (size_t)hash;
}

static struct word *slot_of(const char *text, size_t hash)
{
    size_t i = hash & (slots - 1);
    while (table[i].text != NULL && (table[i].hash != hash || strcmp(table[i].text, text) != 0))
        i = (i + 1) & (slots - 1);
    return &table[i];
}

static void grow_table(void)
{
    struct word *old = table;
    size_t old_slots = slots;
    slots = slots > 0 ? 2 * slots : 1024;
    table = have(bench_zeroed(slots * sizeof(*table), 8));
    for (size_t i = 0; i < old_slots; i++)
        if (old[i].text != NULL)
            *slot_of(old[i].text, old[i].hash) = old[i];
    if (old != NULL)
        bench_free(old);
}

static struct word *find(const char *text, size_t length)
{
    if (2 * words >= slots)
        grow_table();
    size_t hash = hash_of(text);
    struct word *word = slot_of(text, hash);
    if (word->text == NULL) {
        words++;
        word->text = memcpy(have(bench_alloc(length + 1, 1)), text, length + 1);
        word->hash = hash;
    }
    return word;
}

static void add(const char *text, size_t length)
{
    struct word *word = find(text, length);
    if (word->count == word->capacity) {
        size_t capacity = word->capacity > 0 ? 2 * word->capacity : 4;
        word->places = have(bench_realloc(word->places, word->capacity * sizeof(size_t), 8, capacity * sizeof(size_t)));
        word->capacity = capacity;
    }
    word->places[word->count++] = places++;
}

void bench_words(char **arguments)
{
    FILE *file = fopen(arguments[0], "r");
    char text[LONGEST];
    size_t length = 0;
    if (file == NULL)
        bench_fail("no such text");
    for (int c; (c = getc_unlocked(file)) != EOF;) {
        if (c > ' ' && length < LONGEST - 1) {
            text[length++] = (char)c;
        } else if (length > 0) {
            text[length] = '\0';
            add(text, length);
            length = 0;
        }
    }
    fclose(file);
    bench_say("words", (double)words);
    bench_say("places", (double)places);
}
