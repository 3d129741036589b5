/* Children that are made without the handlers of pthread_atfork(3). */
#ifndef FILZ_TESTS_CLONES_H
#define FILZ_TESTS_CLONES_H

#include "support.h"

#include <sys/mman.h>
#include <sys/syscall.h>

/* s390x takes them in the other order. */
#ifdef __s390x__
#define FLAGS_AND_STACK 0, SIGCHLD
#else
#define FLAGS_AND_STACK SIGCHLD, 0
#endif

MAYBE_UNUSED static pid_t clone_without_handlers(void)
{
    return (pid_t)syscall(SYS_clone, FLAGS_AND_STACK, 0, 0, 0);
}

/* Whether MADV_WIPEONFORK does what it says: such a child is told from its parent by that. */
MAYBE_UNUSED static bool pages_are_wiped(void)
{
    enum { MADVISE_WIPEONFORK = 18 };
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    *page = 1;
    bool accepted = madvise(page, 4096, MADVISE_WIPEONFORK) == 0;
    pid_t child = clone_without_handlers();
    if (child == 0)
        _exit(*page);
    int value = end_child(child);
    munmap(page, 4096);
    return accepted && value == 0;
}

#define NEED_WIPED_PAGES()                                                                                             \
    do {                                                                                                               \
        if (!pages_are_wiped())                                                                                        \
            SKIP("the system, or its emulator, doesn't wipe pages in a child");                                        \
    } while (0)

#endif
