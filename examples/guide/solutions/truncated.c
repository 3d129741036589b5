/* Chapter 5, exercise 2: what filz can't protect from: the heap's file is truncated. Which block still works then? */
#include <filz/mmap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(bool is_so, const char *what)
{
    if (is_so)
        return;
    printf("wrong: %s\n", what);
    exit(1);
}

/* How a process ends that stores to `block`: 0, or the signal. */
static int signal_of_a_store_to(volatile char *block)
{
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGBUS, SIG_DFL);
        *block = 'x';
        _exit(0);
    }
    int status = 0;
    check(child > 0 && waitpid(child, &status, 0) == child, "a child");
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

int main(void)
{
    /* The child shall have this very file under its heap, not a copy. */
    setenv("FILZ_FORK", "private", 1);
    filz_mmap heap = {.path = "truncated.filz"};
    char *first = filz_mmap_alloc(&heap, 100, 1);
    if (first == NULL)
        return 0;
    char *second = filz_mmap_alloc(&heap, 40000, 1);
    check(second != NULL, "a second block");
    char *its_end = second + 39999;

    check(signal_of_a_store_to(its_end) == 0, "all is well before");
    /* Page 0 is the header; the blocks begin in page 1, after the chunk's header. */
    check(truncate("truncated.filz", 2 * sysconf(_SC_PAGESIZE)) == 0, "the file is truncated after two pages");
    check(signal_of_a_store_to(first) == 0, "the first block is in a page that is still there");
    check(signal_of_a_store_to(its_end) == SIGBUS, "the end of the second isn't");
    puts("truncated after two pages: the first block works, the end of the second is SIGBUS");

    unlink("truncated.filz");
    _exit(fflush(stdout)); /* closing the heap would be in order, but who knows what else is gone */
}
