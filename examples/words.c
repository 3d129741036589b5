/* An index of the words of a text, built by the first run and found by each later one, in the file words-c.filz.
 *
 *     words TEXT WORD...
 *
 * Nothing is loaded or parsed the second time, because the pointers in the heap are still valid. */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <filz/mmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BUCKETS 65536
#define WORD_MAX 100

/* What is in the heap. Change the tag when these change. */
#define TAG 0x776f7264732d6331

struct line {
    unsigned long number;
    struct line *before;
};

struct word {
    struct word *next; /* in its bucket */
    struct line *lines;
    size_t count;
    char text[];
};

struct index {
    long long size, modified; /* of the text */
    unsigned long lines;
    size_t words;
    struct word *buckets[BUCKETS];
};

static filz_mmap heap = {.path = "words-c.filz", .flags = FILZ_MMAP_PERSISTENT, .tag = TAG};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void check(int error)
{
    if (error == 0)
        return;
    fprintf(stderr, "words-c.filz: %s\n", filz_error_text(error));
    exit(1);
}

static void *allocate(size_t size, size_t align)
{
    void *block = filz_mmap_alloc_zeroed(&heap, size, align);
    if (block == NULL)
        fail("words-c.filz");
    return block;
}

static struct word **find(struct index *index, const char *text)
{
    size_t hash = 5381;
    for (const char *c = text; *c != '\0'; c++)
        hash = hash * 33 + (unsigned char)*c;
    struct word **word = &index->buckets[hash % BUCKETS];
    while (*word != NULL && strcmp((*word)->text, text) != 0)
        word = &(*word)->next;
    return word;
}

static void add(struct index *index, const char *text, unsigned long number)
{
    struct word **place = find(index, text);
    if (*place == NULL) {
        *place = allocate(sizeof(struct word) + strlen(text) + 1, _Alignof(struct word));
        strcpy((*place)->text, text);
        index->words++;
    }
    struct word *word = *place;
    struct line *line = allocate(sizeof(*line), _Alignof(struct line));
    *line = (struct line){number, word->lines};
    word->lines = line;
    word->count++;
}

/* Sets the root last: a run that is killed before leaves none, and the next one starts again. */
static struct index *build(FILE *text, const struct stat *status)
{
    check(filz_mmap_reset(&heap));
    struct index *index = allocate(sizeof(*index), _Alignof(struct index));
    *index = (struct index){.size = status->st_size, .modified = status->st_mtime, .lines = 1};
    char word[WORD_MAX + 1];
    size_t length = 0;
    for (int c = getc(text); c != EOF || length > 0; c = getc(text)) {
        if (c != EOF && isalnum(c) && length < WORD_MAX) {
            word[length++] = (char)tolower(c);
            continue;
        }
        word[length] = '\0';
        if (length > 0)
            add(index, word, index->lines);
        length = 0;
        index->lines += c == '\n';
    }
    check(filz_mmap_set_root(&heap, index));
    return index;
}

static void look_up(struct index *index, const char *text)
{
    const struct word *word = *find(index, text);
    if (word == NULL)
        printf("%s: nowhere\n", text);
    else
        printf("%s: %zu times, last in line %lu\n", text, word->count, word->lines->number);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: words TEXT WORD...\n");
        return 2;
    }
    FILE *text = fopen(argv[1], "r");
    struct stat status;
    if (text == NULL || fstat(fileno(text), &status) != 0)
        fail(argv[1]);
    check(filz_mmap_open(&heap));
    struct index *index = filz_mmap_root(&heap);
    bool found = index != NULL && index->size == status.st_size && index->modified == status.st_mtime;
    if (!found)
        index = build(text, &status);
    printf("%s: %zu words in %lu lines\n", found ? "found" : "built", index->words, index->lines - 1);
    for (int i = 2; i < argc; i++)
        look_up(index, argv[i]);
    fclose(text);
    return filz_mmap_close(&heap);
}
