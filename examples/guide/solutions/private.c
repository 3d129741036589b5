/* Chapter 4, exercise 2: a private mapping shows the file's pages, until it is stored to: then the process has a copy
 * of that page, and of no other. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void check(bool holds, const char *what)
{
    if (!holds) {
        printf("wrong: %s\n", what);
        exit(1);
    }
}

static char byte_in_file(int fd, size_t offset)
{
    char byte = 0;
    check(pread(fd, &byte, 1, (off_t)offset) == 1, "the file can be read");
    return byte;
}

static char *map(int fd, size_t length, int kind)
{
    char *start = mmap(NULL, length, PROT_READ | PROT_WRITE, kind, fd, 0);
    check(start != MAP_FAILED, "the file can be mapped");
    return start;
}

int main(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fd = memfd_create("two pages", 0); /* an unnamed file in memory */
    check(fd >= 0 && ftruncate(fd, (off_t)(2 * page)) == 0, "a file of two pages");
    volatile char *shared = map(fd, 2 * page, MAP_SHARED);
    volatile char *private = map(fd, 2 * page, MAP_PRIVATE);

    shared[0] = shared[page] = 'a';
    check(byte_in_file(fd, 0) == 'a' && private[0] == 'a' && private[page] == 'a', "all see a shared store");

    private[0] = 'b';
    check(byte_in_file(fd, 0) == 'a' && shared[0] == 'a', "nobody else sees a private store");
    shared[0] = 'c';
    check(private[0] == 'b', "the copied page has left the file for good");
    shared[page] = 'c';
    check(private[page] == 'c', "the other page has not"); /* on Linux: mmap(2) doesn't promise it */
    puts("one page was copied");
    return 0;
}
