/* Programs with heaps for the tool to look at: `tool-heaps WHAT PATH`. What is to go on says "ready" on standard
 * output, and ends when its standard input does. */
#define _GNU_SOURCE 1
#include <filz/mmap.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB ((size_t)1024)

enum { THREADS = 4 };

static filz_mmap heap;

static bool end_of_input(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) != 0;
}

static void say_ready(void)
{
    puts("ready");
    fflush(stdout);
}

static void wait_for_end_of_input(void)
{
    say_ready();
    while (getchar() != EOF)
        continue;
}

static bool allocate(size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        char *block = filz_mmap_alloc(&heap, size, 1);
        if (block == NULL)
            return false;
        memset(block, 'x', size);
    }
    return true;
}

/* 1,001 blocks, one of them large, and a root that is the first. */
static int fill(void)
{
    void *root = filz_mmap_alloc(&heap, 100, 1);
    bool done = root != NULL && filz_mmap_set_root(&heap, root) == 0 && allocate(999, 100) && allocate(1, 1024 * KIB);
    return done ? 0 : 1;
}

/* The same, and goes on. */
static int fill_and_wait(void)
{
    if (fill() != 0)
        return 1;
    wait_for_end_of_input();
    return 0;
}

/* One block, of which nothing is stored. */
static int large(void)
{
    return filz_mmap_alloc(&heap, 64 * KIB * KIB, 1) != NULL ? 0 : 1;
}

/* What is there already. */
static int only_wait(void)
{
    wait_for_end_of_input();
    return 0;
}

/* Four threads at least one chunk each, and one chunk of one large block. */
static void *allocate_some(void *done)
{
    atomic_fetch_add((atomic_int *)done, allocate(50, 1000));
    while (atomic_load((atomic_int *)done) < THREADS) /* or the next would take this one's tail */
        sched_yield();
    allocate(1, 300 * KIB);
    return NULL;
}

static int chunks(void)
{
    pthread_t threads[THREADS];
    atomic_int done = 0;
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, allocate_some, &done) != 0)
            return 1;
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

/* One thread: blocks of all sizes, of which the newest grows and shrinks, and at times a reset; with `pause`, also a
 * sync after about so many blocks. */
static int churn_and_sync(unsigned pause)
{
    unsigned seed = 1;
    say_ready();
    for (size_t i = 0; i % 1024 != 0 || !end_of_input(); i++) {
        unsigned kind = (unsigned)rand_r(&seed);
        size_t size = kind % 64 == 0 ? kind % (600 * KIB) + 1 : kind % 2000 + 1;
        char *block = filz_mmap_alloc(&heap, size, 8);
        if (block != NULL && kind % 3 == 0)
            block = filz_mmap_realloc(&heap, block, size, 8, kind % 7 * size + 1);
        if ((block == NULL || kind % 4096 == 0) && filz_mmap_reset(&heap) != 0)
            return 1;
        if (pause != 0 && kind % pause == 0 && filz_mmap_sync(&heap) != 0)
            return 1;
    }
    return 0;
}

static int churn(void)
{
    return churn_and_sync(0);
}

static int sync_often(void)
{
    return churn_and_sync(100);
}

/* The heap's end moves all the time, and what lies after it was used before. */
static int shake(void)
{
    char *block = filz_mmap_alloc(&heap, 1, 1);
    size_t size = 1;
    say_ready();
    for (size_t i = 0; block != NULL && (i % 1024 != 0 || !end_of_input()); i++) {
        size_t next = i % 2 == 0 ? i % 29 * 40 * KIB + 1 : 1;
        block = filz_mmap_realloc(&heap, block, size, 1, next);
        size = next;
    }
    return block == NULL;
}

/* The same after so much that it takes a while to get there. */
static int shake_far_away(void)
{
    return allocate(1, 8 * KIB * KIB) ? shake() : 1;
}

static void *allocate_until_full(void *nothing)
{
    for (size_t i = 0; allocate(1, 1 + i % 300); i++)
        continue;
    return nothing;
}

/* Threads that fill the heap side by side, over and over. */
static int crowd(void)
{
    say_ready();
    while (!end_of_input()) {
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++)
            if (pthread_create(&threads[i], NULL, allocate_until_full, NULL) != 0)
                return 1;
        for (size_t i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        if (filz_mmap_reset(&heap) != 0)
            return 1;
    }
    return 0;
}

/* Opens the heap often, and ends with 1 when it can't. */
static int reopen(void)
{
    say_ready();
    while (!end_of_input()) {
        if (filz_mmap_open(&heap) != 0 || !allocate(1, 1))
            return 1;
        filz_mmap_close(&heap);
    }
    return 0;
}

static int kill_itself(void)
{
    return fill() == 0 && raise(SIGKILL) == 0;
}

/* Two checkpoints, of which the older is empty, and blocks after the newer. */
static int sync_and_go_on(void)
{
    return fill() == 0 && filz_mmap_sync(&heap) == 0 ? chunks() : 1;
}

static int sync_and_kill_itself(void)
{
    return sync_and_go_on() == 0 && raise(SIGKILL) == 0;
}

/* --- a list whose nodes are finished when the root leads to them --- */

struct node {
    struct node *next;
    size_t number; /* of nodes up to the end */
    size_t size;   /* of what follows, which all is `number` in its lowest byte */
    unsigned char bytes[];
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

static bool push(size_t size)
{
    struct node *node = filz_mmap_alloc(&heap, sizeof(*node) + size, alignof(struct node));
    if (node == NULL)
        return false;
    pthread_mutex_lock(&list_lock);
    node->next = filz_mmap_root(&heap);
    node->number = node->next != NULL ? node->next->number + 1 : 1;
    node->size = size;
    memset(node->bytes, (int)(node->number % 256), size);
    bool done = filz_mmap_set_root(&heap, node) == 0;
    pthread_mutex_unlock(&list_lock);
    return done;
}

static void *push_some(void *seed)
{
    for (size_t i = 0; i < 16; i++) {
        if (i % 4 == 0)
            usleep(1000); /* or the disk would be full at once */
        push(i == 15 && rand_r(seed) % 32 == 0 ? 400 * KIB : (size_t)rand_r(seed) % 3000);
    }
    return NULL;
}

/* Threads that come and go. */
static int push_by_threads(void)
{
    unsigned seeds[THREADS] = {0, 1, 2, 3};
    bool done = push(1);
    say_ready();
    while (done && !end_of_input()) {
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++)
            done &= pthread_create(&threads[i], NULL, push_some, &seeds[i]) == 0;
        for (size_t i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
    return done ? 0 : 1;
}

/* Prints how many nodes there are, if all are whole. */
static int walk(void)
{
    const struct node *node = filz_mmap_root(&heap);
    printf("%zu\n", node != NULL ? node->number : 0);
    for (; node != NULL; node = node->next) {
        for (size_t i = 0; i < node->size; i++)
            if (node->bytes[i] != node->number % 256)
                return 1;
        if (node->next != NULL ? node->next->number != node->number - 1 : node->number != 1)
            return 1;
    }
    return 0;
}

static int walk_and_go_on(void)
{
    return walk() == 0 && push(100) && push(KIB * KIB) ? walk() : 1;
}

static const struct {
    const char *name;
    int (*body)(void);
    filz_mmap settings;
} whats[] = {
    {"fill", fill, {.flags = FILZ_MMAP_PERSISTENT, .tag = 7}},
    {"chunks", chunks, {.flags = FILZ_MMAP_PERSISTENT}},
    {"wait", fill_and_wait, {.flags = FILZ_MMAP_PERSISTENT, .tag = 7}},
    {"large", large, {.flags = FILZ_MMAP_PERSISTENT}},
    {"wait-shared", fill_and_wait, {.flags = FILZ_MMAP_SHARED, .tag = 7}},
    {"read", only_wait, {.flags = FILZ_MMAP_READ_ONLY, .tag = 7}},
    {"read-untagged", only_wait, {.flags = FILZ_MMAP_READ_ONLY}},
    {"copy", only_wait, {.flags = FILZ_MMAP_PRIVATE, .tag = 7}},
    {"kill-itself", kill_itself, {.flags = FILZ_MMAP_PERSISTENT}},
    {"churn", churn, {.flags = FILZ_MMAP_PERSISTENT, .capacity = 64 * 1024 * KIB}},
    {"sync-often", sync_often, {.flags = FILZ_MMAP_PERSISTENT, .capacity = 64 * 1024 * KIB}},
    {"shake", shake, {.flags = FILZ_MMAP_PERSISTENT, .capacity = 64 * 1024 * KIB}},
    {"shake-shared", shake_far_away, {.flags = FILZ_MMAP_SHARED, .capacity = 64 * 1024 * KIB}},
    {"crowd", crowd, {.flags = FILZ_MMAP_PERSISTENT, .capacity = 16 * 1024 * KIB}},
    {"reopen", reopen, {.flags = FILZ_MMAP_PERSISTENT}},
    {"reopen-shared", reopen, {.flags = FILZ_MMAP_SHARED}},
    {"sync", sync_and_go_on, {.flags = FILZ_MMAP_PERSISTENT}},
    {"sync-and-kill", sync_and_kill_itself, {.flags = FILZ_MMAP_PERSISTENT}},
    {"wait-anywhere", fill_and_wait, {.flags = 0}},
    {"push", push_by_threads, {.flags = FILZ_MMAP_SHARED, .capacity = 512 * 1024 * KIB}},
    {"walk", walk, {.flags = FILZ_MMAP_READ_ONLY}},
    {"walk-and-go-on", walk_and_go_on, {.flags = FILZ_MMAP_PERSISTENT, .capacity = 1024 * KIB * KIB}},
    {"anywhere", fill, {.flags = 0}},
    {"kill-here", kill_itself, {.flags = 0}},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(whats) / sizeof(whats[0]); i++)
        if (strcmp(argv[1], whats[i].name) == 0) {
            heap = whats[i].settings;
            heap.path = argc > 2 && argv[2][0] != '\0' ? argv[2] : NULL;
            int status = filz_mmap_open(&heap) == 0 ? whats[i].body() : 1;
            filz_mmap_close(&heap);
            return status;
        }
    return 2;
}
