/* A program for each peer:
 *
 *     out-of-core use COUNT ACCESSES [GROUP]    adds so many records, and then reads and writes them in several ways
 *     out-of-core keep COUNT                    adds them, and brings them to the disk
 *     out-of-core find COUNT LOOKUPS [GROUP]    opens what was kept, looks up one record and then so many more
 *     out-of-core walk COUNT advised|plain [GROUP]   opens it, and reads all of it in order
 *
 * GROUP is the file of a control group with a limit on memory that this process enters, once it has made what isn't to
 * count for that. Prints a line for each figure: what was done, what was measured of it, and the number. */
#include "out_of_core.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MOST_THREADS = 4 };

static uint64_t count;

__attribute__((weak)) bool peer_walk_slots(uint64_t first, uint64_t how_many, uint64_t *sum)
{
    (void)first, (void)how_many, (void)sum;
    return false;
}

__attribute__((weak)) bool peer_advise(enum pattern pattern)
{
    (void)pattern;
    return false;
}

static void enter(const char *group)
{
    FILE *file = group != NULL ? fopen(group, "w") : NULL;
    if (group != NULL && (file == NULL || fprintf(file, "%d", (int)getpid()) < 0 || fclose(file) != 0))
        fail("this process can't enter the control group");
}

/* -- Figures ------------------------------------------------------------------------------------------------------- */

struct figures {
    double nanoseconds, read, written, faults;
};

static struct figures figures_now(void)
{
    struct timespec now;
    struct rusage usage;
    struct figures figures = {0};
    char line[100];
    FILE *file = fopen("/proc/self/io", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "read_bytes: %lf", &figures.read);
        sscanf(line, "write_bytes: %lf", &figures.written);
    }
    if (file == NULL || fclose(file) != 0 || getrusage(RUSAGE_SELF, &usage) != 0)
        fail("the kernel doesn't count");
    figures.faults = (double)usage.ru_majflt;
    clock_gettime(CLOCK_MONOTONIC, &now);
    figures.nanoseconds = (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
    return figures;
}

/* What was done since `start`, for each of `accesses`. */
static void say(const char *what, struct figures start, uint64_t accesses)
{
    struct figures end = figures_now();
    double one = 1 / (double)accesses;
    printf("%s-nanoseconds %.1f\n", what, (end.nanoseconds - start.nanoseconds) * one);
    printf("%s-read %.1f\n", what, (end.read - start.read) * one);
    printf("%s-written %.1f\n", what, (end.written - start.written) * one);
    printf("%s-faults %.5f\n", what, (end.faults - start.faults) * one);
    fflush(stdout);
}

/* -- What is done -------------------------------------------------------------------------------------------------- */

/* Of one thread: `seed` chooses its records. */
struct reader {
    uint64_t seed, accesses;
};

static void *read_at_random(void *context)
{
    const struct reader *reader = context;
    for (uint64_t i = 0; i < reader->accesses; i++) {
        uint64_t number = mix((reader->seed << 32) + i) % count;
        if (peer_read(number) != number)
            fail("a record is another one");
    }
    return NULL;
}

static void read_on_threads(uint64_t seed, uint64_t threads, uint64_t accesses)
{
    struct reader readers[MOST_THREADS];
    pthread_t running[MOST_THREADS];
    for (uint64_t i = 0; i < threads; i++) {
        readers[i] = (struct reader){seed + i, accesses / threads};
        if (pthread_create(&running[i], NULL, read_at_random, &readers[i]) != 0)
            fail("no thread");
    }
    for (uint64_t i = 0; i < threads; i++)
        pthread_join(running[i], NULL);
}

static void write_at_random(const char *what, uint64_t seed, uint64_t accesses)
{
    struct figures start = figures_now();
    for (uint64_t i = 0; i < accesses; i++)
        peer_write(mix((seed << 32) + i) % count, i);
    say(what, start, accesses);
}

static void walk(const char *what)
{
    struct figures start = figures_now();
    if (peer_walk() != count * (count - 1) / 2)
        fail("records are others");
    say(what, start, count);
}

static void add_all(void)
{
    peer_begin();
    for (uint64_t i = 0; i < count; i++)
        peer_add(i);
    peer_end_adding();
}

static void use(uint64_t accesses)
{
    struct figures start = figures_now();
    uint64_t sum = 0;
    add_all();
    say("build", start, count);
    write_at_random("first-writes", 1, accesses);
    read_on_threads(2, 1, accesses); /* until memory is as it will be */
    for (uint64_t threads = 1; threads <= (peer_has_threads ? MOST_THREADS : 1); threads *= 2) {
        char what[] = "reads-0";
        what[sizeof(what) - 2] = (char)('0' + threads);
        start = figures_now();
        read_on_threads(10 * threads, threads, accesses);
        say(what, start, accesses);
    }
    write_at_random("writes", 100, accesses);
    start = figures_now();
    if (peer_walk_slots(mix(1) % count, accesses, &sum))
        say("slots", start, accesses);
    walk("walk");
    if (peer_advise(IN_ORDER))
        walk("advised-walk");
}

static void find(uint64_t lookups)
{
    struct figures start = figures_now();
    peer_open();
    read_at_random(&(struct reader){1, 1});
    say("first", start, 1);
    start = figures_now();
    read_at_random(&(struct reader){2, lookups});
    say("lookups", start, lookups);
}

static void open_and_walk(bool advised)
{
    struct figures start = figures_now();
    peer_open();
    if (advised && !peer_advise(IN_ORDER))
        fail("it has no advice");
    if (peer_walk() != count * (count - 1) / 2)
        fail("records are others");
    say(advised ? "cold-advised-walk" : "cold-walk", start, count);
}

int main(int argc, char **argv)
{
    const char *command = argc > 2 ? argv[1] : "";
    count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    bool is_use = strcmp(command, "use") == 0, is_keep = strcmp(command, "keep") == 0;
    if (count == 0 || (!is_keep && argc < 4)) {
        fprintf(stderr, "usage: see the beginning of main.c\n");
        return 2;
    }
    if (is_use || is_keep)
        peer_prepare(count);
    if (!is_keep)
        enter(argv[4]);
    if (is_use) {
        use(strtoull(argv[3], NULL, 10));
    } else if (is_keep) {
        add_all();
        if (!peer_keep())
            fail("it has nothing that stays");
    } else if (strcmp(command, "find") == 0) {
        find(strtoull(argv[3], NULL, 10));
    } else {
        open_and_walk(strcmp(argv[3], "advised") == 0);
    }
    return EXIT_SUCCESS;
}
