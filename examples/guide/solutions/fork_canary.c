/* Chapter 9, exercise 2: noticing a fork that ran no handlers, by a page that the kernel clears in each child. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static volatile unsigned char *canary;

static void check(int is_well, const char *what)
{
    if (is_well)
        return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

/* Whether this process is a child that hasn't asked yet. */
static int was_forked(void)
{
    if (*canary == 1)
        return 0;
    *canary = 1;
    return 1;
}

/* s390x takes them in the other order. */
#ifdef __s390x__
#define FLAGS_AND_STACK 0, SIGCHLD
#else
#define FLAGS_AND_STACK SIGCHLD, 0
#endif

/* The kernel's fork, without the C library's handlers; `answer` is what was_forked says in the child. */
static int fork_answers(void)
{
    int status = 0;
    pid_t child = (pid_t)syscall(SYS_clone, FLAGS_AND_STACK, 0, 0, 0);
    if (child == 0) {
        int first = was_forked(), second = was_forked();
        _exit(first + 2 * second);
    }
    check(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status), "a child ran");
    return WEXITSTATUS(status);
}

int main(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED, "a page");
    if (madvise(memory, page, MADV_WIPEONFORK) != 0) {
        puts("not here: the kernel has no MADV_WIPEONFORK");
        return 0;
    }
    canary = memory;
    *canary = 1;
    check(!was_forked(), "the parent was not forked");
    int answers = fork_answers();
    if (answers == 0) {
        puts("not here: the page wasn't cleared, as by an emulator that ignores MADV_WIPEONFORK");
        return 0;
    }
    check(answers == 1, "the child notices once");
    check(!was_forked(), "the parent's page is as it was");
    puts("a child notices that it is one; its parent doesn't");
    return 0;
}
