/* Arrays of 64-bit numbers that are pushed to: one, or many side by side. */
#include "bench.h"

struct array {
    uint64_t *elements;
    size_t length, capacity;
};

static double moved;

static void grow(struct array *array, size_t capacity)
{
    size_t size = array->capacity * sizeof(uint64_t);
    uintptr_t before = (uintptr_t)array->elements;
    array->elements = bench_realloc(array->elements, size, 8, capacity * sizeof(uint64_t));
    if (array->elements == NULL)
        bench_fail("out of memory");
    if (before != (uintptr_t)array->elements)
        moved += (double)size;
    array->capacity = capacity;
}

/* By `step` elements, or where that is 0 to twice as many. */
static void push(struct array *array, size_t step, uint64_t element)
{
    if (array->length == array->capacity)
        grow(array, step > 0 ? array->capacity + step : array->capacity > 0 ? 2 * array->capacity : 4);
    array->elements[array->length++] = element;
}

static void say(size_t capacity)
{
    bench_say("moved", moved);
    bench_say("size", (double)(capacity * sizeof(uint64_t)));
}

void bench_vector(char **arguments)
{
    size_t elements = bench_number(arguments[0]), step = bench_number(arguments[1]);
    struct array array = {0};
    for (size_t i = 0; i < elements; i++)
        push(&array, step, i);
    bench_escape(array.elements);
    say(array.capacity);
}

void bench_vectors(char **arguments)
{
    size_t elements = bench_number(arguments[0]), count = bench_number(arguments[1]), capacity = 0;
    struct array *arrays = calloc(count, sizeof(*arrays));
    for (size_t i = 0; arrays != NULL && i < elements; i++)
        push(&arrays[i % count], 0, i);
    for (size_t i = 0; arrays != NULL && i < count; i++)
        capacity += arrays[i].capacity;
    bench_escape(arrays);
    say(capacity);
}
