/* A file of 16 pages, mapped into memory, and watched: after each access, which pages are in RAM, which of them this
 * process has mapped, and how many page faults it took. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bump.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { PAGES = 16 };

static size_t page_size;
static unsigned char *map;
static int pagemap;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* An unnamed file, gone with the process. */
static int open_file(void)
{
    const char *directory = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof(path), "%s/guide-pages-XXXXXX", directory != NULL ? directory : "/tmp");
    int fd = mkstemp(path);
    if (fd < 0 || unlink(path) != 0 || ftruncate(fd, (off_t)(PAGES * page_size)) != 0)
        fail(path);
    return fd;
}

/* --- what is watched --- */

static long faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt + usage.ru_majflt;
}

/* See mincore(2). */
static void in_ram(char row[PAGES + 1])
{
    unsigned char states[PAGES];
    if (mincore(map, PAGES * page_size, states) != 0)
        fail("mincore");
    for (size_t i = 0; i < PAGES; i++)
        row[i] = states[i] & 1 ? '#' : '.';
    row[PAGES] = '\0';
}

/* Eight bytes for each page of the address space, and the highest bit says whether it is mapped; see pagemap in
 * proc(5).
 */
static void mapped(char row[PAGES + 1])
{
    uint64_t entries[PAGES];
    off_t offset = (off_t)((uintptr_t)map / page_size * sizeof(entries[0]));
    if (pread(pagemap, entries, sizeof(entries), offset) != (ssize_t)sizeof(entries))
        fail("/proc/self/pagemap");
    for (size_t i = 0; i < PAGES; i++)
        row[i] = entries[i] >> 63 ? '#' : '.';
    row[PAGES] = '\0';
}

static void show(const char *what, long faults_taken)
{
    char ram[PAGES + 1];
    char here[PAGES + 1];
    in_ram(ram);
    mapped(here);
    printf("%-24s %6ld  %s  %s\n", what, faults_taken, here, ram);
}

/* --- the accesses --- */

/* Address space first, and in it a place where the kernel's windows of 16 pages begin; then the file. */
static void map_file(const char *what, int fd)
{
    long before = faults();
    size_t length = PAGES * page_size;
    void *reserved = mmap(NULL, 2 * length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (reserved == MAP_FAILED)
        fail("mmap");
    void *start = (void *)align_up((uintptr_t)reserved, length);
    map = mmap(start, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    if (map == MAP_FAILED || madvise(map, length, MADV_RANDOM) != 0)
        fail("mmap");
    show(what, faults() - before);
}

static void store(const char *what, size_t first, size_t last)
{
    long before = faults();
    for (size_t page = first; page <= last; page++)
        *(volatile unsigned char *)(map + page * page_size) = 'x';
    show(what, faults() - before);
}

static void load(const char *what, size_t page)
{
    long before = faults();
    (void)*(volatile unsigned char *)(map + page * page_size);
    show(what, faults() - before);
}

/* All pages, ready to be written, by one call; see madvise(2). Older kernels than 5.14 do nothing. */
static void bring_in(const char *what)
{
    long before = faults();
    madvise(map, PAGES * page_size, MADV_POPULATE_WRITE);
    show(what, faults() - before);
}

static void compare_with_file(int fd)
{
    char byte = 0;
    if (pread(fd, &byte, 1, (off_t)(9 * page_size)) == 1 && byte == 'x')
        puts("pread(2) from the file at page 9 finds the x");
}

int main(void)
{
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    pagemap = open("/proc/self/pagemap", O_RDONLY);
    if (pagemap < 0) {
        puts("this system doesn't tell which pages are mapped");
        return 0;
    }
    int fd = open_file();
    printf("%-24s %6s  %-*s  %s\n", "", "faults", PAGES, "mapped here", "in RAM");
    map_file("the file is mapped", fd);
    store("store to page 3", 3, 3);
    store("another store to page 3", 3, 3);
    store("stores to pages 8 to 11", 8, 11);
    load("load from page 14", 14);
    compare_with_file(fd);
    munmap(map, PAGES * page_size);
    map_file("unmapped, mapped again", fd);
    load("load from page 3", 3);
    store("store to page 3", 3, 3);
    bring_in("madvise for all");
    store("stores to all", 0, PAGES - 1);
    return 0;
}
