/* A child process, for what would end or change this one. */
#ifndef FILZ_TESTS_CHILDREN_H
#define FILZ_TESTS_CHILDREN_H

#include "basics.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* For code that may not assert, in a child or a second thread: says what isn't so and returns 1. */
#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);                  \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

/* Seconds that a test waits for anything, so that none fails because the machine is slow. As long as ctest waits. */
enum { PATIENCE = 3600 };

/* In a child: a signal ends it, and so does a wait that is too long. */
MAYBE_UNUSED static void let_signals_end_this(void)
{
    static const int caught_by_cmocka[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    for (size_t i = 0; i < COUNT(caught_by_cmocka); i++)
        signal(caught_by_cmocka[i], SIG_DFL);
    alarm(PATIENCE);
}

/* Zeroed memory in which a process and its children see each other's stores; NULL if there is none. */
MAYBE_UNUSED static void *share_with_children(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Begins `body` in a child, which exits as programs do when it returns. A child that hangs dies of SIGALRM. */
MAYBE_UNUSED static pid_t begin_child(int (*body)(void *), void *context)
{
    fflush(NULL);
    pid_t child = fork();
    if (child != 0)
        return child;
    let_signals_end_this();
    exit(body(context));
}

/* Waits for a child. Returns its exit status, or 128 + the signal it died of. */
MAYBE_UNUSED static int end_child(pid_t child)
{
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

MAYBE_UNUSED static int in_child(int (*body)(void *), void *context)
{
    return end_child(begin_child(body, context));
}

enum { SKIPPED = 77 }; /* exit status of a child that can't do its test here */

/* Runs this program anew, with one argument, in place of the child that calls it. */
MAYBE_UNUSED static int start_this_program(void *argument)
{
    static char program[PATH_MAX];
    if (readlink("/proc/self/exe", program, sizeof(program) - 1) > 0)
        execl(program, program, argument, (char *)NULL);
    return SKIPPED;
}

/* What a child does with a heap that is its own: zeroed blocks, each of them written. */
MAYBE_UNUSED static int allocate_and_write(void *heap)
{
    for (size_t i = 0; i < 50; i++) {
        char *block = filz_mmap_alloc_zeroed(heap, 10 * KIB, 1);
        EXPECT(block && is_filled(block, 0, 10 * KIB));
        memset(block, 'c', 10 * KIB);
    }
    return 0;
}

#endif
