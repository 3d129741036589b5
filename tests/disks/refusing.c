/* Heaps that are asked for, by a path or by FILZ_DIR, on a file system that refuses or shows something unusual: the
 * heap is used if that makes no difference to it; otherwise it can't be opened, for the reason that is so, and no file
 * stays that the open made. tests/disks/run mounts the file systems.
 *
 *     refusing chmod DIRECTORY            chmod(2) is refused, and nobody else may write the files all the same
 *     refusing mode DIRECTORY OTHER       chmod(2) is refused, and others may write each file
 *     refusing owner DIRECTORY OTHER      each file is another user's
 *     refusing hugetlbfs DIRECTORY        write(2) is refused
 *
 * OTHER is where files can be put into DIRECTORY. */
#include "expect.h"

#include <dirent.h>
#include <fcntl.h>
#include <filz.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

static const char *directory;

/* A file in `where`, as a string that the next call overwrites. */
static const char *path_in(const char *where, const char *name)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s", where, name);
    return path;
}

static int count_entries(void)
{
    DIR *entries = opendir(directory);
    EXPECT(entries != NULL);
    int count = -2;
    while (readdir(entries) != NULL)
        count++;
    EXPECT(closedir(entries) == 0);
    return count;
}

/* FUSE removes a file that was open a moment later. */
static bool has_entries(int count)
{
    for (int i = 0; i < PATIENCE * 100 && count_entries() != count; i++)
        usleep(10000);
    return count_entries() == count;
}

/* -- The heaps that are asked for ---------------------------------------------------------------------------------- */

enum asked { BY_FILZ_DIR, BY_PATH, PERSISTENT, ASKED };

static filz_mmap heap_asked_for(enum asked asked)
{
    if (asked == BY_FILZ_DIR)
        return (filz_mmap){.capacity = MIB};
    filz_mmap heap = {.path = path_in(directory, "asked.filz"), .capacity = MIB, .tag = 1};
    heap.flags = asked == PERSISTENT ? FILZ_MMAP_PERSISTENT : 0;
    return heap;
}

static const char *name_asked_for(enum asked asked)
{
    return asked == BY_FILZ_DIR ? "refusing.filz" : "asked.filz";
}

/* -- It is used ---------------------------------------------------------------------------------------------------- */

static void check_root(filz_mmap *heap, bool has_one)
{
    const char *root = filz_mmap_root(heap);
    EXPECT((root != NULL) == has_one);
    for (size_t i = 0; has_one && i < 100 * KIB; i++)
        EXPECT(root[i] == 'b');
}

static void expect_used(enum asked asked)
{
    for (int run = 0; run < 3; run++) {
        filz_mmap heap = heap_asked_for(asked);
        filz_mmap_info info;
        int error = filz_mmap_open(&heap);
        if (error != 0)
            fprintf(stderr, "%s: %s\n", name_asked_for(asked), filz_error_text(error));
        EXPECT(error == 0 && filz_mmap_stats(&heap, &info) == 0);
        EXPECT(info.path != NULL && strcmp(info.path, path_in(directory, name_asked_for(asked))) == 0);
        check_root(&heap, run > 0 && asked == PERSISTENT);
        char *block = filz_mmap_alloc(&heap, 100 * KIB, 1);
        EXPECT(block != NULL);
        memset(block, 'b', 100 * KIB);
        EXPECT(filz_mmap_set_root(&heap, block) == 0 && filz_mmap_close(&heap) == 0);
    }
    EXPECT(unlink(path_in(directory, name_asked_for(asked))) == 0);
}

/* -- It can't be opened -------------------------------------------------------------------------------------------- */

/* What a first allocation says on standard error, as a string that the next call overwrites. */
static const char *line_of(filz_mmap heap)
{
    static char line[8192];
    int ends[2], before = dup(STDERR_FILENO);
    EXPECT(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    void *block = filz_mmap_alloc(&heap, 1, 1);
    EXPECT(dup2(before, STDERR_FILENO) == STDERR_FILENO && close(before) == 0 && close(ends[1]) == 0);
    EXPECT(block == NULL);
    ssize_t length = read(ends[0], line, sizeof(line) - 1);
    EXPECT(length > 0 && close(ends[0]) == 0);
    line[length] = '\0';
    return line;
}

/* Returns the error. Nothing is left of a file that wasn't there, and a file that was there stays. */
static int expect_refused(enum asked asked)
{
    int entries = count_entries();
    filz_mmap heap = heap_asked_for(asked);
    int error = filz_mmap_open(&heap);
    EXPECT(error != 0 && has_entries(entries));
    const char *line = line_of(heap_asked_for(asked));
    EXPECT(strstr(line, name_asked_for(asked)) != NULL && has_entries(entries));
    EXPECT(error > 0 || strstr(line, filz_error_text(error)) != NULL);
    return error;
}

static void put_file_into(const char *other, const char *name)
{
    int fd = open(path_in(other, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    EXPECT(fd >= 0 && close(fd) == 0);
}

static void expect_refused_as(int error, const char *other)
{
    for (enum asked asked = 0; asked < ASKED; asked++)
        EXPECT(expect_refused(asked) == error);
    for (enum asked asked = 0; asked < ASKED; asked++) {
        if (asked != PERSISTENT)
            put_file_into(other, name_asked_for(asked));
        EXPECT(expect_refused(asked) == error);
    }
}

/* It isn't the capacity's fault. */
static void expect_refused_by_the_system(void)
{
    for (enum asked asked = 0; asked < ASKED; asked++) {
        int error = expect_refused(asked);
        EXPECT(error > 0 && strstr(filz_error_text(error), "capacity") == NULL);
        EXPECT(strstr(line_of(heap_asked_for(asked)), "capacity") == NULL);
    }
}

int main(int argc, char **argv)
{
    EXPECT(argc >= 3);
    directory = argv[2];
    EXPECT(setenv("FILZ_DIR", directory, 1) == 0);
    if (strcmp(argv[1], "chmod") == 0) {
        for (enum asked asked = 0; asked < ASKED; asked++)
            expect_used(asked);
        printf("used");
    } else if (strcmp(argv[1], "hugetlbfs") == 0) {
        expect_refused_by_the_system();
        printf("an error of the system");
    } else {
        int error = strcmp(argv[1], "owner") == 0 ? FILZ_EOWNER : FILZ_EMODE;
        expect_refused_as(error, argv[3]);
        printf("refused: %s", filz_error_text(error));
    }
    return 0;
}
