/* cJSON in a persistent heap: the first run parses the text, and each later run finds the tree as it was, without
 * parsing. A tree of cJSON's is plain data, and its pointers stay valid. */
#include <cJSON.h>
#include <filz/hooks.h>
#include <stdio.h>

static filz_mmap heap = {.path = "settings.filz", .flags = FILZ_MMAP_PERSISTENT, .tag = 1};
FILZ_HOOKS(json, &heap)

static const char *const text = "{\"name\": \"filz\", \"sizes\": [16, 32, 48], \"nested\": {\"depth\": 2}}";

/* The tree that the last run left, or a new one. NULL: no memory. */
static cJSON *settings(void)
{
    cJSON *found = filz_mmap_root(&heap);
    if (found != NULL)
        return found;
    cJSON *parsed = cJSON_Parse(text);
    printf("parsed, ");
    return parsed != NULL && filz_mmap_set_root(&heap, parsed) == 0 ? parsed : NULL;
}

int main(void)
{
    int error = filz_mmap_open(&heap);
    if (error != 0) {
        fprintf(stderr, "settings.filz: %s\n", filz_error_text(error));
        return 1;
    }
    cJSON_Hooks hooks = {json_malloc, json_free};
    cJSON_InitHooks(&hooks);

    const cJSON *tree = settings();
    if (tree == NULL)
        return 1;
    double sum = 0;
    const cJSON *size;
    cJSON_ArrayForEach(size, cJSON_GetObjectItem(tree, "sizes")) sum += size->valuedouble;
    printf("sizes: %g, depth: %d\n", sum, cJSON_GetObjectItem(cJSON_GetObjectItem(tree, "nested"), "depth")->valueint);
    return filz_mmap_close(&heap); /* without cJSON_Delete: the tree stays */
}
