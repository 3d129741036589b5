/* Threads that allocate in turn: which pages of the heap are whose, and how many cache lines two of them share. With
 * the argument `time`: what sharing one costs. */
#include <filz/mmap.h>
#include <filz/stack.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE = 64, PAGES = 48, SMALL = 16, ROUNDS = 32, ADDITIONS = 1000000 };

static filz_mmap heap = FILZ_MMAP_INIT;
static filz_stack *stack;
static _Alignas(LINE) char stack_memory[4096];

/* A thread that runs one job when it is told to. */
struct worker {
    pthread_t thread;
    sem_t go, done;
    void (*job)(struct worker *self); /* NULL: end */
    size_t count;
    void *block; /* the newest */
};

static void quit(const char *why)
{
    puts(why);
    exit(1);
}

static void *work(void *argument)
{
    struct worker *self = argument;
    while (sem_wait(&self->go) == 0 && self->job != NULL) {
        self->job(self);
        sem_post(&self->done);
    }
    return NULL;
}

static void start(struct worker *worker)
{
    sem_init(&worker->go, 0, 0);
    sem_init(&worker->done, 0, 0);
    if (pthread_create(&worker->thread, NULL, work, worker) != 0)
        quit("no thread");
}

static void tell(struct worker *worker, void (*job)(struct worker *), size_t count)
{
    worker->job = job;
    worker->count = count;
    sem_post(&worker->go);
}

static void wait_for(struct worker *worker)
{
    while (sem_wait(&worker->done) != 0)
        ;
}

static void end(struct worker *worker)
{
    tell(worker, NULL, 0);
    pthread_join(worker->thread, NULL);
}

/* --- whose page is it? --- */

static void take_kibs(struct worker *self)
{
    for (size_t i = 0; i < self->count; i++)
        if (filz_mmap_alloc(&heap, 1024, 1) == NULL)
            quit("the heap is full");
}

static char letter_of(unsigned char state)
{
    unsigned kind = state & FILZ_PAGE_KIND;
    unsigned thread = FILZ_PAGE_THREAD(state);
    if (kind == FILZ_PAGE_FREE)
        return '.';
    if (thread == 0)
        return 'H';
    return (kind == FILZ_PAGE_USED ? "ABC" : "abc")[(thread - 1) % 3];
}

/* A letter for each page: H the header, A, B, C where a thread's blocks are, a, b, c for the tail of its chunk. */
static void show_pages(const char *what)
{
    unsigned char states[PAGES];
    char letters[PAGES + 1] = "";
    size_t count = PAGES;
    if (filz_mmap_pages(&heap, 0, &count, states) != 0)
        quit("no pages");
    for (size_t i = 0; i < count; i++)
        letters[i] = letter_of(states[i]);
    printf("%-26s %s\n", what, letters);
}

static void take(struct worker *worker, size_t kibs, const char *what)
{
    tell(worker, take_kibs, kibs);
    wait_for(worker);
    show_pages(what);
}

static void show_chunks(void)
{
    struct worker a = {0}, b = {0}, c = {0};
    start(&a);
    start(&b);
    take(&a, 4, "thread A takes 4 KiB");
    take(&b, 4, "B takes 4");
    take(&a, 10, "A takes 10 more");
    take(&a, 20, "A takes 20 more");
    take(&b, 20, "B takes 20 more");
    end(&a);
    start(&c);
    take(&c, 4, "A ends, C begins: takes 4");
    take(&c, 10, "C takes 10 more");
    end(&b);
    end(&c);
}

/* --- whose line is it? --- */

static void take_small_from_stack(struct worker *self)
{
    self->block = filz_stack_alloc(stack, SMALL, SMALL);
}

static void take_small_from_heap(struct worker *self)
{
    self->block = filz_mmap_alloc(&heap, SMALL, SMALL);
}

static size_t line_of(const void *block)
{
    return (uintptr_t)block / LINE;
}

/* Two threads take blocks in turn. Prints how many lines are shared; each is counted when its second owner comes. */
static void count_shared_lines(const char *where, void (*job)(struct worker *))
{
    struct worker workers[2] = {{0}, {0}};
    size_t lines[2] = {0, 0}, shared_line = 0, shared = 0;
    start(&workers[0]);
    start(&workers[1]);
    for (int i = 0; i < 2 * ROUNDS; i++) {
        struct worker *worker = &workers[i % 2];
        tell(worker, job, 1);
        wait_for(worker);
        if (worker->block == NULL)
            quit("no block");
        size_t line = lines[i % 2] = line_of(worker->block);
        if (line == lines[(i + 1) % 2] && line != shared_line) {
            shared++;
            shared_line = line;
        }
    }
    printf("%s: %d blocks of %d bytes, %zu lines with blocks of both\n", where, 2 * ROUNDS, SMALL, shared);
    end(&workers[0]);
    end(&workers[1]);
}

/* --- what a shared line costs --- */

static void add(struct worker *self)
{
    unsigned *counter = self->block;
    for (size_t i = 0; i < self->count; i++)
        __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static double time_round(struct worker *workers)
{
    double before = now();
    for (int i = 0; i < 2; i++)
        tell(&workers[i], add, ADDITIONS);
    for (int i = 0; i < 2; i++)
        wait_for(&workers[i]);
    return (now() - before) / ADDITIONS;
}

static void time_additions(const char *where, void (*job)(struct worker *))
{
    struct worker workers[2] = {{0}, {0}};
    double rounds[ROUNDS];
    for (int i = 0; i < 2; i++) {
        start(&workers[i]);
        tell(&workers[i], job, 1);
        wait_for(&workers[i]);
        if (workers[i].block == NULL)
            quit("no block");
        memset(workers[i].block, 0, SMALL);
    }
    for (int i = 0; i < ROUNDS; i++)
        rounds[i] = time_round(workers);
    qsort(rounds, ROUNDS, sizeof(rounds[0]), compare);
    printf("counters in blocks from %s: %.1f ns an addition\n", where, rounds[ROUNDS / 2]);
    for (int i = 0; i < 2; i++)
        end(&workers[i]);
}

int main(int count, char **arguments)
{
    stack = filz_stack_init(stack_memory, sizeof(stack_memory));
    int error = filz_mmap_open(&heap);
    if (error != 0) {
        printf("can't be seen here: %s\n", filz_error_text(error));
        return 0;
    }
    if (count > 1 && strcmp(arguments[1], "time") == 0) {
        time_additions("one stack allocator", take_small_from_stack);
        time_additions("two threads' chunks", take_small_from_heap);
    } else {
        show_chunks();
        count_shared_lines("one stack allocator", take_small_from_stack);
        count_shared_lines("two threads' chunks", take_small_from_heap);
    }
    return filz_mmap_close(&heap);
}
