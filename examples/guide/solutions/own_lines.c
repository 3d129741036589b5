/* Chapter 8, exercise 1: a stack allocator for threads whose blocks never share a cache line: each block begins one,
 * and has its last one alone. */
#include <filz/stack.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE = 64, BLOCKS = 16 };

FILZ_STACK(memory, 4096)

static void check(bool is_so, const char *what)
{
    if (is_so)
        return;
    printf("wrong: %s\n", what);
    exit(1);
}

/* A size near SIZE_MAX must not become a small one when it is rounded up. */
static void *own_lines(filz_stack *stack, size_t size)
{
    return size > SIZE_MAX - LINE ? NULL : filz_stack_alloc(stack, (size + LINE - 1) / LINE * LINE, LINE);
}

int main(void)
{
    uintptr_t before = 0;
    size_t start = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        char *block = own_lines(memory, 16 + 10 * i);
        check(block != NULL, "there is room");
        check((uintptr_t)block % LINE == 0, "a block begins a line");
        check((uintptr_t)block / LINE != before, "which isn't that of the last block's end");
        before = (uintptr_t)(block + 16 + 10 * i - 1) / LINE;
        if (i == 0)
            start = filz_stack_mark(memory) - LINE;
    }
    check(own_lines(memory, SIZE_MAX) == NULL, "nothing wraps");

    size_t asked = 0;
    for (size_t i = 0; i < BLOCKS; i++)
        asked += 16 + 10 * i;
    printf("%d blocks, %zu bytes asked for, %zu taken\n", BLOCKS, asked, filz_stack_mark(memory) - start);
    return 0;
}
