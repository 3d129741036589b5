/* Where blocks of several types land in a stack allocator, byte by byte, and what the padding between them costs. */
#include <filz/stack.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bump.h"

enum { ROW = 16, ROWS = 3, BYTES = ROW * ROWS };

/* The buffer must begin at a multiple of 64, right after the header. */
static struct {
    _Alignas(64) unsigned char before[64 - sizeof(filz_stack)];
    unsigned char memory[sizeof(filz_stack) + BYTES];
} place;

struct request {
    char letter;
    size_t size, align;
};

/* A flag, a number, a name of 5 letters, a time, a port, a vector for SIMD instructions. */
static const struct request as_they_come[] = {{'f', 1, 1}, {'n', 4, 4}, {'m', 5, 1},
                                              {'t', 8, 8}, {'p', 2, 2}, {'v', 16, 16}};
static const struct request strictest_first[] = {{'v', 16, 16}, {'t', 8, 8}, {'n', 4, 4},
                                                 {'p', 2, 2},   {'m', 5, 1}, {'f', 1, 1}};

enum { COUNT = sizeof(as_they_come) / sizeof(as_they_come[0]) };

static void show(const char *title, const struct request *requests)
{
    filz_stack *stack = filz_stack_init(place.memory, sizeof(place.memory));
    unsigned char *buffer = place.memory + sizeof(filz_stack);
    size_t asked = 0;
    memset(buffer, '.', BYTES);

    printf("%s\n   size align  at  padding\n", title);
    for (size_t i = 0; i < COUNT; i++) {
        const struct request *request = &requests[i];
        size_t before = filz_stack_mark(stack);
        unsigned char *block = filz_stack_alloc(stack, request->size, request->align);
        if (block == NULL)
            return;
        size_t at = (size_t)(block - buffer);
        memset(buffer + before, '-', at - before);
        memset(block, request->letter, request->size);
        asked += request->size;
        printf("%c %5zu %5zu %3zu %8zu\n", request->letter, request->size, request->align, at, at - before);
    }
    for (size_t row = 0; row < ROWS; row++)
        printf("%2zu  %.*s\n", row * ROW, ROW, (const char *)buffer + row * ROW);
    printf("%zu bytes asked for, %zu used\n\n", asked, filz_stack_mark(stack));
}

/* The same request, in a buffer that begins elsewhere. */
static void show_shifted(size_t shift)
{
    filz_stack *stack = filz_stack_init(place.memory + shift, sizeof(place.memory) - shift);
    unsigned char *block = filz_stack_alloc(stack, 16, 16);
    if (block == NULL)
        return;
    printf("buffer at 64 * n + %zu: a block aligned to 16 is its bytes %zu to %zu\n", shift,
           filz_stack_mark(stack) - 16, filz_stack_mark(stack) - 1);
}

static void print_bits(const char *name, unsigned number)
{
    printf("%-10s %3u  ", name, number);
    for (int bit = 7; bit >= 0; bit--)
        putchar(number >> bit & 1 ? '1' : '0');
    putchar('\n');
}

int main(void)
{
    show("as they come", as_they_come);
    show("strictest first", strictest_first);

    show_shifted(0);
    show_shifted(8);
    putchar('\n');

    print_bits("address", 21);
    print_bits("-address", (unsigned char)-21);
    print_bits("8 - 1", 8 - 1);
    print_bits("padding", (unsigned)padding_for(21, 8));
    return 0;
}
