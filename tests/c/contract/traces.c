/* Replays the traces of tests/traces, each a test of its own. Its argument is that directory; README.md there says what
 * a trace is. The Rust runner, tests/rust/tests/traces.rs, gives the same answers. */

/* A 32-bit program whose files an emulator reads from a 64-bit system sees no entry of a directory otherwise. */
#define _FILE_OFFSET_BITS 64
#include "support.h"

#include <dirent.h>

enum { MOST_WORDS = 8, MOST_NAMES = 32, MOST_TRACES = 200 };

struct block {
    char name[16];
    unsigned char *at;
    size_t size, align;
};

struct mark {
    char name[16];
    size_t used;
};

struct trace {
    struct heap *heap;
    uintptr_t base; /* what offsets count from; 0 until it is known */
    size_t block_count, mark_count;
    struct block blocks[MOST_NAMES];
    struct mark marks[MOST_NAMES];
};

/* What a line got: a block, or a failure. */
struct answer {
    unsigned char *at;
    int error;
};

/* -- Numbers ------------------------------------------------------------------------------------------------------- */

static bool parse_unit(const char *text, size_t *unit, const char **end)
{
    const struct {
        const char *name;
        size_t value;
    } units[] = {{"page", (size_t)sysconf(_SC_PAGESIZE)}, {"max", SIZE_MAX}, {"half", PTRDIFF_MAX}};
    for (size_t i = 0; i < COUNT(units); i++)
        if (strncmp(text, units[i].name, strlen(units[i].name)) == 0) {
            *unit = units[i].value;
            *end = text + strlen(units[i].name);
            return true;
        }
    return false;
}

/* 12, 0xC, 12K, 12M, page, 12*page */
static bool parse_term(const char *text, size_t *term, const char **end)
{
    size_t unit;
    if (parse_unit(text, term, end))
        return true;
    if (*text < '0' || *text > '9')
        return false;
    char *rest;
    *term = strtoul(text, &rest, 0);
    *end = rest;
    if (*rest == '*') {
        if (!parse_unit(rest + 1, &unit, end))
            return false;
        *term *= unit;
    } else if (*rest == 'K' || *rest == 'M') {
        *term *= *rest == 'K' ? KIB : MIB;
        *end = rest + 1;
    }
    return true;
}

static bool parse_number(const char *text, size_t *number)
{
    *number = 0;
    for (char sign = '+';; sign = *text++) {
        size_t term;
        if ((sign != '+' && sign != '-') || !parse_term(text, &term, &text))
            return false;
        *number = sign == '+' ? *number + term : *number - term;
        if (*text == '\0')
            return true;
    }
}

/* -- Operations: each returns what is wrong, or NULL --------------------------------------------------------------- */

static struct block *find_block(struct trace *trace, const char *name)
{
    for (size_t i = 0; i < trace->block_count; i++)
        if (strcmp(trace->blocks[i].name, name) == 0)
            return &trace->blocks[i];
    return NULL;
}

static const char *open_heap(struct trace *trace, char **words, size_t count)
{
    size_t capacity;
    if (count != 3 || strcmp(words[0], "heap") != 0 || !parse_number(words[2], &capacity))
        return "the first line must be: heap stack|mmap BYTES";
    bool stack = strcmp(words[1], "stack") == 0;
    if (!stack && strcmp(words[1], "mmap") != 0)
        return "no such heap";
    trace->heap = stack ? new_stack_heap(capacity) : new_mmap_heap(capacity);
    trace->base = stack ? (uintptr_t)(trace->heap->stack + 1) : 0;
    return NULL;
}

static const char *compare(struct trace *trace, struct answer got, const char *expected, const unsigned char *before)
{
    size_t offset;
    if (strcmp(expected, "ENOMEM") == 0)
        return got.error == ENOMEM ? NULL : "not ENOMEM";
    if (strcmp(expected, "EINVAL") == 0)
        return got.error == EINVAL ? NULL : "not EINVAL";
    if (got.at == NULL)
        return "no block";
    if (strcmp(expected, "same") == 0)
        return got.at == before ? NULL : "another address";
    if (!parse_number(expected, &offset))
        return "no result";
    if (trace->base == 0)
        trace->base = (uintptr_t)got.at / (2 * MIB) * (2 * MIB);
    return (uintptr_t)got.at - trace->base == offset ? NULL : "another offset";
}

static struct answer answer_of(void *block)
{
    return (struct answer){block, block ? 0 : errno};
}

/* alloc SIZE ALIGN -> RESULT, or zeroed */
static const char *allocate(struct trace *trace, const char *name, char **words, bool zeroed)
{
    struct block block = {.at = NULL};
    if (!parse_number(words[1], &block.size) || !parse_number(words[2], &block.align))
        return "no number";
    struct answer got = answer_of(zeroed ? heap_alloc_zeroed(trace->heap, block.size, block.align)
                                         : heap_alloc(trace->heap, block.size, block.align));
    if (got.at && zeroed && !is_filled(got.at, 0, block.size))
        return "not zero";
    if (got.at && name && trace->block_count < MOST_NAMES) {
        snprintf(block.name, sizeof(block.name), "%s", name);
        block.at = got.at;
        trace->blocks[trace->block_count++] = block;
    }
    return compare(trace, got, words[4], NULL);
}

/* realloc NAME SIZE -> RESULT */
static const char *reallocate(struct trace *trace, struct block *block, char **words)
{
    size_t size;
    if (!parse_number(words[2], &size))
        return "no number";
    unsigned char *before = block->at;
    struct answer got = answer_of(heap_realloc(trace->heap, before, block->size, block->align, size));
    if (got.at) {
        block->at = got.at;
        block->size = size;
    }
    return compare(trace, got, words[4], before);
}

/* fill NAME BYTE [FROM] */
static const char *fill(const struct block *block, char **words, size_t count)
{
    size_t byte, from = 0;
    if (!parse_number(words[2], &byte) || (count == 4 && !parse_number(words[3], &from)) || from > block->size)
        return "no number";
    memset(block->at + from, (int)byte, block->size - from);
    return NULL;
}

/* check NAME BYTE [COUNT] */
static const char *check(const struct block *block, char **words, size_t count)
{
    size_t byte, size = block->size;
    if (!parse_number(words[2], &byte) || (count == 4 && !parse_number(words[3], &size)) || size > block->size)
        return "no number";
    return is_filled(block->at, (int)byte, size) ? NULL : "other contents";
}

static const char *with_block(struct trace *trace, char **words, size_t count)
{
    struct block *block = find_block(trace, words[1]);
    if (block == NULL)
        return "no such block";
    if (strcmp(words[0], "realloc") == 0 && count == 5)
        return reallocate(trace, block, words);
    if (strcmp(words[0], "fill") == 0 && (count == 3 || count == 4))
        return fill(block, words, count);
    if (strcmp(words[0], "check") == 0 && (count == 3 || count == 4))
        return check(block, words, count);
    if (strcmp(words[0], "dealloc") != 0 || count != 2)
        return "no such operation";
    heap_dealloc(trace->heap, block->at, block->size, block->align);
    return NULL;
}

static const char *expect_statistic(struct trace *trace, char **words)
{
    size_t expected;
    filz_mmap_info info = {.blocks = 0};
    if (!parse_number(words[1], &expected))
        return "no number";
    if (strcmp(words[0], "used") == 0)
        return heap_used(trace->heap) == expected ? NULL : "another number of bytes used";
    if (filz_mmap_stats(&trace->heap->mmap, &info) != 0)
        return "no statistics";
    return info.blocks == expected ? NULL : "another number of blocks";
}

static const char *mark_or_rewind(struct trace *trace, char **words)
{
    if (trace->heap->stack == NULL || trace->mark_count == MOST_NAMES)
        return "no marks";
    if (strcmp(words[0], "mark") == 0) {
        struct mark *mark = &trace->marks[trace->mark_count++];
        snprintf(mark->name, sizeof(mark->name), "%s", words[1]);
        mark->used = filz_stack_mark(trace->heap->stack);
        return NULL;
    }
    for (size_t i = 0; i < trace->mark_count; i++)
        if (strcmp(trace->marks[i].name, words[1]) == 0) {
            filz_stack_rewind(trace->heap->stack, trace->marks[i].used);
            return NULL;
        }
    return "no such mark";
}

static const char *run_words(struct trace *trace, char **words, size_t count)
{
    if (trace->heap == NULL)
        return open_heap(trace, words, count);
    const char *name = NULL;
    if (count > 2 && strcmp(words[1], "=") == 0) {
        name = words[0];
        words += 2;
        count -= 2;
    }
    bool zeroed = strcmp(words[0], "zeroed") == 0;
    if ((zeroed || strcmp(words[0], "alloc") == 0) && count == 5)
        return allocate(trace, name, words, zeroed);
    if (strcmp(words[0], "reset") == 0 && count == 1) {
        heap_reset(trace->heap);
        return NULL;
    }
    if ((strcmp(words[0], "used") == 0 || strcmp(words[0], "blocks") == 0) && count == 2)
        return expect_statistic(trace, words);
    if ((strcmp(words[0], "mark") == 0 || strcmp(words[0], "rewind") == 0) && count == 2)
        return mark_or_rewind(trace, words);
    return count > 1 ? with_block(trace, words, count) : "no such operation";
}

static const char *run_line(struct trace *trace, char *line)
{
    char *words[MOST_WORDS], *rest;
    size_t count = 0;
    line[strcspn(line, "#\n")] = '\0';
    for (char *word = strtok_r(line, " ", &rest); word && count < MOST_WORDS; word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    return count > 0 ? run_words(trace, words, count) : NULL;
}

/* Replays the trace at `path`. Returns what is wrong, or NULL, and in which line. */
static const char *replay(const char *path, size_t *line_number)
{
    struct trace trace = {.heap = NULL};
    char line[256];
    const char *wrong = NULL;
    FILE *file = fopen(path, "r");
    *line_number = 0;
    if (file == NULL)
        return "no such file";
    while (wrong == NULL && fgets(line, sizeof(line), file)) {
        ++*line_number;
        wrong = run_line(&trace, line);
    }
    fclose(file);
    if (trace.heap == NULL)
        return wrong ? wrong : "an empty trace";
    free_heap(trace.heap);
    return wrong;
}

/* -- One test a trace ---------------------------------------------------------------------------------------------- */

static void the_trace_holds(void **state)
{
    size_t line;
    const char *wrong = replay(*state, &line);
    if (wrong)
        fail_msg("%s:%zu: %s", (const char *)*state, line, wrong);
}

static void the_trace_is_refused(void **state)
{
    size_t line;
    assert_non_null(replay(*state, &line));
}

static int only_traces(const struct dirent *entry)
{
    const char *ending = strrchr(entry->d_name, '.');
    return ending && strcmp(ending, ".trace") == 0;
}

/* Adds a test for each trace in the directory. They live as long as the program. */
static size_t add_tests(struct CMUnitTest *tests, size_t room, const char *directory, CMUnitTestFunction function)
{
    struct dirent **entries;
    int found = scandir(directory, &entries, only_traces, alphasort);
    size_t count = 0;
    for (int i = 0; i < found; i++) {
        char *path = NULL;
        if (count < room && asprintf(&path, "%s/%s", directory, entries[i]->d_name) > 0)
            tests[count++] = (struct CMUnitTest){strrchr(path, '/') + 1, function, NULL, NULL, path};
        free(entries[i]);
    }
    if (found >= 0)
        free(entries);
    return count;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[MOST_TRACES];
    char directory[PATH_MAX], wrong[PATH_MAX + 8];
    if (argc != 2 || realpath(argv[1], directory) == NULL) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    snprintf(wrong, sizeof(wrong), "%s/wrong", directory);
    size_t right_count = add_tests(tests, MOST_TRACES, directory, the_trace_holds);
    size_t wrong_count = add_tests(tests + right_count, MOST_TRACES - right_count, wrong, the_trace_is_refused);
    print_message("%zu traces, and %zu that must be refused\n", right_count, wrong_count);
    if (right_count < 40 || wrong_count == 0)
        return 1;
    return _cmocka_run_group_tests("traces", tests, right_count + wrong_count, enter_fresh_directory,
                                   leave_fresh_directory);
}
