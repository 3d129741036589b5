/* jansson: its hooks are malloc and free, without realloc. */
#define LIBRARY "jansson"
#include "library.h"

#include <jansson.h>

enum { RECORDS = 2000 };

static void use(enum source source)
{
    if (source == FILZ)
        json_set_alloc_funcs(hook_malloc, hook_free);
    else
        json_set_alloc_funcs(counted_malloc, counted_free);
}

static json_t *new_records(void)
{
    json_t *records = json_array();
    int error = records == NULL;
    for (int i = 0; i < RECORDS && error == 0; i++) {
        json_t *record = json_pack("{s:i, s:[s,s,i], s:f}", "number", i, "tags", "one", "two", i, "half", i * 0.5);
        error = json_array_append_new(records, record);
    }
    if (error == 0)
        return records;
    json_decref(records);
    return NULL;
}

/* The text is right, so that only memory can be what is missing; jansson names other errors too then. */
static const char *compare(json_t *records, const char *text)
{
    json_t *parsed = json_loads(text, 0, NULL);
    if (parsed == NULL)
        return out_of_memory;
    bool same = json_equal(records, parsed) == 1;
    const json_t *last = json_array_get(parsed, RECORDS - 1);
    same = same && json_integer_value(json_array_get(json_object_get(last, "tags"), 2)) == RECORDS - 1;
    json_decref(parsed);
    return same ? NULL : "what was parsed isn't what was printed";
}

/* The text is freed by the function that the library has now. */
static void free_text(char *text)
{
    json_free_t give_back;
    json_get_alloc_funcs(NULL, &give_back);
    give_back(text);
}

static const char *run(void)
{
    json_t *records = new_records();
    char *text = records != NULL ? json_dumps(records, JSON_SORT_KEYS) : NULL;
    const char *answer = text != NULL ? compare(records, text) : out_of_memory;
    free_text(text);
    json_decref(records);
    return answer;
}

int main(void)
{
    const struct CMUnitTest tests[] = {LIBRARY_TESTS};
    return cmocka_run_group_tests_name("jansson", tests, NULL, NULL);
}
