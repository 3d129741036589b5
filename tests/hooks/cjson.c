/* cJSON: its hooks are malloc and free, without realloc. */
#define LIBRARY "cJSON"
#include "library.h"

#include <cJSON.h>

enum { RECORDS = 2000 };

static void use(enum source source)
{
    cJSON_Hooks hooks = {hook_malloc, hook_free};
    if (source == MALLOC)
        hooks = (cJSON_Hooks){counted_malloc, counted_free};
    cJSON_InitHooks(&hooks);
}

static bool add_record(cJSON *records, int i)
{
    char name[32];
    snprintf(name, sizeof(name), "record number %d", i);
    cJSON *record = cJSON_CreateObject();
    cJSON_AddItemToArray(records, record);
    return cJSON_AddStringToObject(record, "name", name) != NULL &&
           cJSON_AddNumberToObject(record, "number", i) != NULL && cJSON_AddArrayToObject(record, "tags") != NULL;
}

static cJSON *new_records(void)
{
    cJSON *records = cJSON_CreateArray();
    bool added = records != NULL;
    for (int i = 0; i < RECORDS && added; i++)
        added = add_record(records, i);
    if (added)
        return records;
    cJSON_Delete(records);
    return NULL;
}

static const char *compare(const cJSON *records, const char *text)
{
    cJSON *parsed = cJSON_Parse(text);
    if (parsed == NULL)
        return out_of_memory;
    bool same = cJSON_Compare(records, parsed, true) && cJSON_GetArraySize(parsed) == RECORDS;
    const cJSON *last = cJSON_GetArrayItem(parsed, RECORDS - 1);
    same = same && strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(last, "name")), "record number 1999") == 0;
    cJSON_Delete(parsed);
    return same ? NULL : "what was parsed isn't what was printed";
}

static const char *run(void)
{
    cJSON *records = new_records();
    char *text = records != NULL ? cJSON_Print(records) : NULL;
    const char *answer = text != NULL ? compare(records, text) : out_of_memory;
    cJSON_free(text);
    cJSON_Delete(records);
    return answer;
}

int main(void)
{
    const struct CMUnitTest tests[] = {LIBRARY_TESTS};
    return cmocka_run_group_tests_name("cjson", tests, NULL, NULL);
}
