/* How children end whose parent has threads, or plugins: by SIGKILL if all is well. At an exit, Valgrind would take for
 * leaks what the C library keeps for threads that the child hasn't got, and for libraries. */
#ifndef FILZ_TESTS_ENDINGS_H
#define FILZ_TESTS_ENDINGS_H

#include "support.h"

MAYBE_UNUSED static _Noreturn void end_at_once(int status)
{
    if (status == 0)
        kill(getpid(), SIGKILL);
    _exit(status != 0 ? status : 1);
}

/* end_child, for a child that ends by end_at_once. Returns its status. */
MAYBE_UNUSED static int end_child_at_once(pid_t child)
{
    int status = end_child(child);
    return status == 0 ? 1 : status == 128 + SIGKILL ? 0 : status;
}

#endif
