/* Chapter 9, exercise 1: a program's own fork handlers may allocate. filz registered its handlers first, when it was
 * loaded, so its prepare handler runs last, and copies what the program's has allocated; in the child its handler runs
 * first, so that the program's finds a heap that is the child's own. */
#include <filz/mmap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static filz_mmap heap;
static char *note;

static void check(int is_well, const char *what)
{
    if (is_well)
        return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

static void before(void)
{
    note = filz_mmap_alloc(&heap, 32, 1);
    check(note != NULL, "there is room");
    strcpy(note, "from before the fork");
}

static void in_child(void)
{
    check(strcmp(note, "from before the fork") == 0, "the child has what the prepare handler wrote");
    strcpy(note, "the child's");
    check(filz_mmap_alloc(&heap, 1000, 1) != NULL, "the child's handler may allocate");
}

int main(void)
{
    int status;
    check(pthread_atfork(before, NULL, in_child) == 0, "handlers registered");
    check(filz_mmap_open(&heap) == 0, "opened");
    pid_t child = fork();
    if (child == 0)
        _exit(strcmp(note, "the child's"));
    check(child > 0 && waitpid(child, &status, 0) == child && status == 0, "the child ended well");
    check(strcmp(note, "from before the fork") == 0, "the parent doesn't see the child's store");
    puts("a handler's block is in both heaps, and each heap has its own");
    return filz_mmap_close(&heap);
}
