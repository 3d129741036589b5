/* jansson: each request is handled on one heap, and a reset ends all that it has allocated, what leaked too. */
#include <filz/hooks.h>
#include <jansson.h>
#include <stdio.h>

static filz_mmap heap = FILZ_MMAP_INIT;
FILZ_HOOKS(json, &heap)

/* Frees nothing. -1: no memory, or no JSON. */
static long long answer(const char *request)
{
    json_t *parsed = json_loads(request, 0, NULL);
    long long sum = parsed != NULL ? 0 : -1;
    size_t i;
    json_t *number;
    json_array_foreach(parsed, i, number) sum += json_integer_value(number);
    return sum;
}

int main(void)
{
    json_set_alloc_funcs(json_malloc, json_free);
    json_object_seed(1); /* what jansson chooses once must not be chosen within a request */

    long long total = 0;
    for (int i = 0; i < 10000; i++) {
        char request[100];
        snprintf(request, sizeof(request), "[%d, %d, 1]", i, -i);
        total += answer(request);
        if (filz_mmap_reset(&heap) != 0)
            return 1;
    }
    filz_mmap_info info;
    if (filz_mmap_stats(&heap, &info) != 0)
        return 1;
    printf("10000 requests, %lld ones, a heap of %zu KiB\n", total, info.committed / 1024);
    return filz_mmap_close(&heap);
}
