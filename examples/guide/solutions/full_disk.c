/* Chapter 5, exercise 1: a disk of 1 MiB that is really full, without privileges: a tmpfs in a user namespace of its
 * own. On it, a sparse file of 4 MiB that is mapped, as some do it, and then a heap of filz's. */
#include <errno.h>
#include <fcntl.h>
#include <filz/mmap.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DISK = 1 << 20, BLOCK = 16 << 10 };

static void check(bool is_so, const char *what)
{
    if (is_so)
        return;
    printf("wrong: %s\n", what);
    exit(1);
}

static bool write_line(const char *path, const char *line)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line);
    if (fd >= 0)
        close(fd);
    return written;
}

/* Only this process sees the disk, at `directory`; it goes when the process ends. */
static bool make_disk(const char *directory)
{
    char user[40], group[40];
    snprintf(user, sizeof(user), "0 %u 1", (unsigned)geteuid());
    snprintf(group, sizeof(group), "0 %u 1", (unsigned)getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_line("/proc/self/setgroups", "deny") &&
           write_line("/proc/self/uid_map", user) && write_line("/proc/self/gid_map", group) &&
           mount("none", directory, "tmpfs", 0, "size=1m") == 0 && chdir(directory) == 0;
}

static void store_into_a_sparse_file(size_t *pages)
{
    size_t size = 4 * DISK;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fd = open("sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    check(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "a disk of 1 MiB takes a file of 4 MiB that is one hole");
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(memory != MAP_FAILED, "and the file can be mapped");
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGBUS, SIG_DFL);
    for (size_t i = 0; i < size / page; i++) {
        memory[i * page] = 'x';
        *pages = i + 1;
    }
}

static void use_a_sparse_file(void)
{
    size_t *pages = mmap(NULL, sizeof(*pages), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(pages != MAP_FAILED, "memory for the child to count in");
    pid_t child = fork();
    if (child == 0) {
        store_into_a_sparse_file(pages);
        _exit(0);
    }
    int status = 0;
    check(child > 0 && waitpid(child, &status, 0) == child, "a child");
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "the child ends by SIGBUS");
    printf("a sparse file: SIGBUS after %zu pages\n", *pages);
    unlink("sparse");
}

static void use_filz(void)
{
    filz_mmap heap = {.path = "heap.filz"};
    size_t blocks = 0;
    char *block;
    while ((block = filz_mmap_alloc(&heap, BLOCK, 1)) != NULL) {
        memset(block, 'x', BLOCK);
        blocks++;
    }
    check(errno == ENOMEM, "the error is ENOMEM");
    check(blocks * BLOCK > DISK / 2 && blocks * BLOCK < DISK, "most of the disk is in blocks");
    printf("filz: NULL after %zu blocks of 16 KiB, each of them written\n", blocks);
    filz_mmap_close(&heap);
}

static void be_the_child(const char *directory)
{
    if (!make_disk(directory)) {
        puts("no disk can be made here: that needs a user namespace");
        exit(0);
    }
    use_a_sparse_file();
    use_filz();
    exit(0);
}

int main(void)
{
    char directory[] = "full-disk-XXXXXX";
    check(mkdtemp(directory) != NULL, "a directory");
    pid_t child = fork();
    if (child == 0)
        be_the_child(directory);
    int status = 0;
    check(child > 0 && waitpid(child, &status, 0) == child, "a child");
    rmdir(directory);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
