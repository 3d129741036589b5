/* A program for each peer:
 *
 *     readers make COUNT                  writes the file
 *     readers find COUNT SEED LOOKUPS     opens it, and looks up one key and then so many more, chosen by the seed
 *     readers nothing COUNT SEED LOOKUPS  does the same without a file: no key is looked up
 *
 * The last two print how long the open took, and the first answer with it, then that they are done, and keep the file
 * open until the end of standard input. bench/rust/src/bin/readers.rs is the same program for rkyv. */
#include "readers.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct pair pair_of(uint64_t n)
{
    struct pair pair;
    char key[KEY_SIZE + 1];
    snprintf(key, sizeof(key), "%08x%08x", (uint32_t)n, (uint32_t)mix(n));
    memcpy(pair.key, key, KEY_SIZE);
    for (uint64_t i = 0; i < VALUE_SIZE / sizeof(i); i++) {
        uint64_t word = mix(n * VALUE_SIZE + i);
        memcpy(pair.value + i * sizeof(word), &word, sizeof(word));
    }
    return pair;
}

static double nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void say(const char *name, double figure)
{
    printf("%s %.0f\n", name, figure);
    fflush(stdout);
}

static struct pair chosen(uint64_t seed, uint64_t i, uint64_t count)
{
    return pair_of(mix((seed << 32) + i) % count);
}

static void look_up(const struct pair *pair, bool finds)
{
    const char *value = finds ? peer_find(pair->key) : pair->value;
    if (value == NULL || memcmp(value, pair->value, VALUE_SIZE) != 0)
        fail("a value isn't there, or is another one");
}

static void read_pairs(bool finds, uint64_t count, uint64_t seed, uint64_t lookups)
{
    struct pair pair = chosen(seed, 0, count);
    double start = nanoseconds();
    if (finds)
        peer_open();
    double opened = nanoseconds();
    look_up(&pair, finds);
    double answered = nanoseconds();
    say("open-nanoseconds", opened - start);
    say("nanoseconds", answered - start);
    for (uint64_t i = 1; i <= lookups; i++) {
        pair = chosen(seed, i, count);
        look_up(&pair, finds);
    }
    say("lookups", (double)lookups);
    while (getchar() != EOF)
        ;
    if (finds)
        peer_close();
}

static uint64_t number(const char *argument)
{
    return strtoull(argument, NULL, 10);
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (argc == 3 && strcmp(command, "make") == 0) {
        peer_make(number(argv[2]));
    } else if (argc == 5 && (strcmp(command, "find") == 0 || strcmp(command, "nothing") == 0)) {
        read_pairs(strcmp(command, "find") == 0, number(argv[2]), number(argv[3]), number(argv[4]));
    } else {
        fprintf(stderr, "usage: %s make COUNT, or find|nothing COUNT SEED LOOKUPS\n", argv[0]);
        return 2;
    }
    return EXIT_SUCCESS;
}
