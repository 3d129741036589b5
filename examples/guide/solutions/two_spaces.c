/* Chapter 10, exercise 2: two heaps by turns. When one has allocated a mebibyte, what is alive is copied to the
 * other, and it is reset. What it costs is the copy of what is alive, not of what is dead; a copying garbage collector
 * rests on the same (C. J. Cheney, "A nonrecursive list compacting algorithm", CACM 13(11), 1970). */
#include <filz/mmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIVE = 1000, TURNS = 200000, MOST = 1 << 20 };

struct text {
    size_t size;
    char *start;
};

static filz_mmap heaps[2];
static int at; /* the heap that is allocated from */
static struct text texts[ALIVE];
static size_t copied, moves;

static void check(int is_well, const char *what)
{
    if (is_well)
        return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

static size_t some_size(void)
{
    static uint32_t state = 1;
    state = state * 1664525 + 1013904223; /* as in the experiment */
    return 16 + (state >> 24) % 112;
}

static char *take(size_t size)
{
    char *block = filz_mmap_alloc(&heaps[at], size, 8);
    check(block != NULL, "there is room");
    return block;
}

static size_t used(int which)
{
    filz_mmap_info info = {.used = 0};
    filz_mmap_stats(&heaps[which], &info);
    return info.used;
}

static void move_to_the_other(void)
{
    at = 1 - at;
    moves++;
    for (int i = 0; i < ALIVE; i++) {
        if (texts[i].start == NULL)
            continue;
        texts[i].start = memcpy(take(texts[i].size), texts[i].start, texts[i].size);
        copied += texts[i].size;
    }
    filz_mmap_reset(&heaps[1 - at]);
}

int main(void)
{
    size_t asked = 0;
    for (int i = 0; i < TURNS; i++) {
        struct text *text = &texts[i % ALIVE];
        if (text->start != NULL)
            for (size_t at_byte = 0; at_byte < text->size; at_byte++)
                check(text->start[at_byte] == (char)(i - ALIVE), "a text is whole after its moves");
        if (i % 1000 == 0 && used(at) > MOST)
            move_to_the_other();
        text->size = some_size();
        text->start = memset(take(text->size), (char)i, text->size);
        asked += text->size;
        check(i % 1000 != 0 || used(0) + used(1) <= 2 * (MOST + MOST / 4), "neither heap grows for ever");
    }
    check(moves > 5 && copied < asked / 4, "it moved now and then, and copied little");
    printf("%zu bytes asked for, %zu copied in %zu moves\n", asked, copied, moves);
    filz_mmap_close(&heaps[0]);
    return filz_mmap_close(&heaps[1]);
}
