/* yyjson: yyjson_alc has a context and the old size, so a block has no size before it. */
#define LIBRARY "yyjson"
#include "library.h"

#include <yyjson.h>

enum { RECORDS = 2000 };

static enum source yyjson_source;

static void use(enum source source)
{
    yyjson_source = source;
}

static void *counted_alc_malloc(void *context, size_t size)
{
    (void)context;
    return counted_malloc(size);
}

static void *counted_alc_realloc(void *context, void *block, size_t old_size, size_t size)
{
    (void)context, (void)old_size;
    return counted_realloc(block, size);
}

static void counted_alc_free(void *context, void *block)
{
    (void)context;
    counted_free(block);
}

static yyjson_alc allocator(void)
{
    if (yyjson_source == FILZ)
        return (yyjson_alc){filz_context_malloc, filz_context_realloc, filz_context_free, &heap};
    return (yyjson_alc){counted_alc_malloc, counted_alc_realloc, counted_alc_free, NULL};
}

/* A text of this length, or NULL: no memory. */
static char *write_records(const yyjson_alc *memory, size_t *length)
{
    yyjson_mut_doc *document = yyjson_mut_doc_new(memory);
    yyjson_mut_val *records = yyjson_mut_arr(document);
    yyjson_mut_doc_set_root(document, records);
    bool added = records != NULL;
    for (int i = 0; i < RECORDS && added; i++) {
        yyjson_mut_val *record = yyjson_mut_arr_add_obj(document, records);
        added = yyjson_mut_obj_add_int(document, record, "number", i) &&
                yyjson_mut_obj_add_strcpy(document, record, "name", "a record");
    }
    char *text = added ? yyjson_mut_write_opts(document, YYJSON_WRITE_PRETTY, memory, length, NULL) : NULL;
    yyjson_mut_doc_free(document);
    return text;
}

static const char *read_records(const yyjson_alc *memory, char *text, size_t length)
{
    yyjson_read_err error;
    yyjson_doc *document = yyjson_read_opts(text, length, 0, memory, &error);
    if (document == NULL)
        return error.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? out_of_memory : "the text isn't JSON";
    yyjson_val *records = yyjson_doc_get_root(document);
    bool right = yyjson_arr_size(records) == RECORDS;
    for (size_t i = 0; i < RECORDS && right; i++)
        right = yyjson_get_int(yyjson_obj_get(yyjson_arr_get(records, i), "number")) == (int)i;
    yyjson_doc_free(document);
    return right ? NULL : "what was parsed isn't what was written";
}

static const char *run(void)
{
    const yyjson_alc memory = allocator();
    size_t length = 0;
    char *text = write_records(&memory, &length);
    const char *answer = text != NULL ? read_records(&memory, text, length) : out_of_memory;
    if (text != NULL)
        memory.free(memory.ctx, text);
    return answer;
}

int main(void)
{
    const struct CMUnitTest tests[] = {LIBRARY_TESTS};
    return cmocka_run_group_tests_name("yyjson", tests, NULL, NULL);
}
