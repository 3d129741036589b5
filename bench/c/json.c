/* Reads a JSON document and parses it into a tree, with cJSON, which takes malloc and free from its user. */
#include "bench.h"

#include <cjson/cJSON.h>

static void *allocate(size_t size)
{
    return bench_alloc(size, 16); /* what malloc promises */
}

static void give_back(void *block)
{
    bench_free(block);
}

static char *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "r");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        bench_fail("no such document");
    *length = (size_t)ftell(file);
    char *text = bench_alloc(*length, 16);
    rewind(file);
    if (text == NULL || fread(text, 1, *length, file) != *length)
        bench_fail("can't read the document");
    fclose(file);
    return text;
}

void bench_json(char **arguments)
{
    size_t length;
    cJSON_InitHooks(&(cJSON_Hooks){allocate, give_back});
    char *text = read_file(arguments[0], &length);
    cJSON *tree = cJSON_ParseWithLength(text, length);
    if (tree == NULL)
        bench_fail("not JSON");
    bench_free(text);
    bench_say("records", cJSON_GetArraySize(tree));
}
