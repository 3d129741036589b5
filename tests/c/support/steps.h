/* A child process that goes on one step at a time, so that a test can look at what it does to a file at every moment,
 * or end it there (ptrace(2)). */
#ifndef FILZ_TESTS_STEPS_H
#define FILZ_TESTS_STEPS_H

#include "support.h"

#include <sys/ptrace.h>

/* A step: one instruction, or to the next entry to the system or return from it. */
enum step { STEP_INSTRUCTION, STEP_CALL };

/* Begins a child that runs `body` and ends without exit handlers. It stands still until its first step. Returns -1
 * where processes can't be traced. */
MAYBE_UNUSED static pid_t begin_steps(int (*body)(void *), void *context)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(PATIENCE);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
            _exit(1);
        _exit(body(context));
    }
    int status;
    return waitpid(child, &status, 0) == child && WIFSTOPPED(status) ? child : -1;
}

/* Lets the child go one step. Returns -1 if it stands still again, or what end_child would. */
MAYBE_UNUSED static int go_a_step(pid_t child, enum step step)
{
    static intptr_t signal_to_deliver;
    void *with = (void *)signal_to_deliver;
    int status;
    if ((step == STEP_CALL ? ptrace(PTRACE_SYSCALL, child, NULL, with)
                           : ptrace(PTRACE_SINGLESTEP, child, NULL, with)) != 0 ||
        waitpid(child, &status, 0) != child)
        return 1;
    signal_to_deliver = 0;
    if (!WIFSTOPPED(status))
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (WSTOPSIG(status) != SIGTRAP)
        signal_to_deliver = WSTOPSIG(status);
    return -1;
}

#endif
