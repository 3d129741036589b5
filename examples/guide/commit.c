/* A heap's file grows before the heap, until it can't: here a file-size limit of 4 MiB stands for a full disk.
 * Then, in a child, what growing it first avoids: a store to a page that is mapped, but that the file doesn't hold. */
#include <errno.h>
#include <fcntl.h>
#include <filz/mmap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KIB = 1024, BLOCK = 48 * KIB, LIMIT = 4096 * KIB, MOST = 100 };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void limit_files(rlim_t bytes, struct rlimit *before)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
        fail("getrlimit");
    *before = limit;
    limit.rlim_cur = bytes;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        fail("setrlimit");
}

/* Takes blocks until there are no more, and writes to each byte of each. Returns how many. */
static size_t fill(filz_mmap *heap, filz_mmap_info *after)
{
    size_t count = 0;
    char *block;
    while (count < MOST && (block = filz_mmap_alloc(heap, BLOCK, 1)) != NULL) {
        memset(block, 'x', BLOCK);
        filz_mmap_stats(heap, &after[count++]);
    }
    return count;
}

static void show(const filz_mmap_info *after, size_t count)
{
    puts("blocks    used  in chunks  in the file   (KiB)");
    for (size_t i = 0; i < count; i++)
        if (i == 0 || i == count - 1 || after[i].in_chunks != after[i - 1].in_chunks ||
            after[i].committed != after[i - 1].committed)
            printf("%6zu %7zu %10zu %12zu\n", i + 1, after[i].used / KIB, after[i].in_chunks / KIB,
                   after[i].committed / KIB);
}

static void fill_to_the_limit(filz_mmap *heap)
{
    filz_mmap_info after[MOST];
    struct rlimit before;
    limit_files(LIMIT, &before);
    size_t count = fill(heap, after);
    int error = errno;
    bool small_fits = filz_mmap_alloc(heap, 100, 1) != NULL;
    if (setrlimit(RLIMIT_FSIZE, &before) != 0)
        fail("setrlimit");
    show(after, count);
    printf("block %zu: NULL, %s; 100 bytes: %s\n", count + 1, strerror(error), small_fits ? "a block" : "NULL");
    printf("the limit is gone; block %zu: %s\n", count + 1, filz_mmap_alloc(heap, BLOCK, 1) ? "a block" : "NULL");
}

static void say_disk_space(const char *whose, const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        fail(path);
    bool all = status.st_blocks * 512 >= status.st_size;
    printf("%s: %s of it has disk space\n", whose, all ? "all" : status.st_blocks == 0 ? "nothing" : "some");
}

/* Stores to page after page of four, of which the file holds two. */
static void store_past_the_end(int fd, size_t page)
{
    char *memory = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGBUS, SIG_DFL);
    for (size_t i = 0; i < 4; i++) {
        memory[i * page] = 'x';
        printf("    page %zu: stored\n", i);
        fflush(stdout);
    }
    _exit(0);
}

static void watch_a_child(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fd = open("short-file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 2 * (off_t)page) != 0)
        fail("short-file");
    say_disk_space("a file made by ftruncate", "short-file");
    puts("a child maps four pages of it, and it has two");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        store_past_the_end(fd, page);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        fail("fork");
    printf("    the child's end: %s\n", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exit");
    close(fd);
    unlink("short-file");
}

int main(void)
{
    filz_mmap heap = {.path = "commit.filz"};
    int error = filz_mmap_open(&heap);
    if (error != 0) {
        printf("can't be seen here: %s\n", filz_error_text(error));
        return 0;
    }
    fill_to_the_limit(&heap);
    say_disk_space("the heap's file", "commit.filz");
    filz_mmap_close(&heap);
    unlink("commit.filz");
    watch_a_child();
    return 0;
}
