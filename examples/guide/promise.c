/* A bump allocator over 48 bytes, and the bytes after each request. Each owner fills its block with its own letter, so
 * the bytes show whose they are. */
#include <stdio.h>
#include <string.h>

enum { CAPACITY = 48 };

static char buffer[CAPACITY];
static size_t used;

/* Alignment is the next chapter's matter. */
static char *alloc(size_t size)
{
    if (size > CAPACITY - used)
        return NULL;
    char *block = buffer + used;
    used += size;
    return block;
}

static void ask(size_t size)
{
    static char owner = 'A';
    char *block = alloc(size);
    char where[20] = "NULL";
    if (block != NULL) {
        size_t start = (size_t)(block - buffer);
        snprintf(where, sizeof(where), "%c %2zu to %2zu", owner, start, start + size - 1);
        memset(block, owner++, size);
    }
    printf("alloc %2zu   %-10s  %4zu  %.*s\n", size, where, used, CAPACITY, buffer);
}

static void reset(void)
{
    used = 0;
    printf("reset      %-10s  %4zu  %.*s\n", "", used, CAPACITY, buffer);
}

int main(void)
{
    memset(buffer, '.', CAPACITY);
    printf("request    bytes       used  the buffer\n");
    ask(12);
    ask(5);
    ask(20);
    ask(16);
    ask(1);
    ask(10);
    ask(1);
    reset();
    ask(8);
    return 0;
}
