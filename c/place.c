/* Opens the heap's file. What it may not do: touch a file that isn't filz's, follow a link, wait, or leave a descriptor
 * open that it doesn't return. */
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* So many heaps of one program can be open at once in one folder. */
#define HEAPS_IN_A_FOLDER 10000

/* O_NONBLOCK: opening a FIFO would wait for its other end. */
#define OPEN_SAFELY (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

/* 0, 1 and 2 are standard input, output and error, also where a program started without them. Passes a failure on. */
static int above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int error = errno;
    close(fd);
    errno = error;
    return higher;
}

/* An empty file, or one of filz's, which isn't overwritten if it is a heap that was made to be opened again. */
static int check_contents(int fd, bool reopen)
{
    struct filz_header header = {.kept = 0};
    ssize_t length = pread(fd, &header, sizeof(header), 0);
    if (length <= 0)
        return length < 0 ? errno : 0;
    if ((size_t)length < FILZ_MAGIC_SIZE || memcmp(header.magic, FILZ_MAGIC, FILZ_MAGIC_SIZE) != 0)
        return EEXIST;
    return header.kept == 0 || reopen ? 0 : EEXIST;
}

/* A regular file, ours, one link, nobody else's to write. ESTALE: it lost its name while it was being opened. */
static int check_file(int fd, struct stat *status)
{
    if (fstat(fd, status) != 0)
        return errno;
    if (!S_ISREG(status->st_mode))
        return ENODEV;
    if (status->st_uid != geteuid())
        return EPERM;
    bool read_only = (status->st_mode & S_IWUSR) == 0 && status->st_size != 0; /* root could open it all the same */
    if (read_only || (status->st_mode & (S_IWGRP | S_IWOTH)))
        return EACCES;
    if (status->st_nlink != 1)
        return status->st_nlink == 0 ? ESTALE : EMLINK;
    return 0;
}

/* Locks the file, if this program may have it. */
static int claim(int fd, struct stat *status, bool reopen)
{
    int error = check_file(fd, status);
    if (error == 0 && flock(fd, LOCK_EX | LOCK_NB) != 0)
        error = errno;
    if (error == 0)
        error = check_file(fd, status);
    if (error == 0)
        error = check_contents(fd, reopen);
    if (error == 0 && !filz_file_may_have(FILZ_MAGIC_SIZE))
        error = EFBIG;
    return error;
}

/* The magic stands in the file before anything else does, so that a run that is killed at any moment leaves a file that
 * the next run knows for filz's own. A part of the magic wouldn't be. */
static int write_magic(int fd)
{
    ssize_t written = pwrite(fd, FILZ_MAGIC, FILZ_MAGIC_SIZE, 0);
    if (written == FILZ_MAGIC_SIZE)
        return 0;
    int error = written < 0 ? errno : ENOSPC;
    return ftruncate(fd, 0) == 0 ? error : errno;
}

int filz_place_take(struct filz_place *place, bool go_on)
{
    int fd = place->file.fd;
    if (!place->private && fchmod(fd, S_IRUSR | S_IWUSR) != 0)
        return errno;
    if (go_on)
        return 0;
    return place->size == 0 ? write_magic(fd) : filz_file_clear(fd, place->size);
}

void filz_place_remove(const struct filz_place *place)
{
    if (place->fate == FILZ_REMOVED_AT_EXIT && filz_file_is_at(&place->file, place->path))
        unlink(place->path);
}

static int open_named(struct filz_place *place, enum filz_fate fate, bool reopen)
{
    int error = ESTALE;
    for (int tries = 0; tries < 100 && error == ESTALE; tries++) {
        int fd = above_standard(open(place->path, OPEN_SAFELY | O_CREAT, S_IRUSR | S_IWUSR));
        if (fd < 0)
            return errno == ENXIO ? ENODEV : errno; /* a socket */
        struct stat status;
        error = claim(fd, &status, reopen);
        if (error == 0)
            error = filz_file_remember(&place->file, fd);
        if (error != 0) {
            close(fd);
            continue;
        }
        place->fate = fate;
        place->private = (status.st_mode & ~(mode_t)S_IFMT) == (S_IRUSR | S_IWUSR);
        place->size = (uint64_t)status.st_size;
        error = reopen ? 0 : filz_place_take(place, false);
        if (error != 0) {
            filz_place_remove(place);
            close(fd);
        }
    }
    return error;
}

/* Appends to the path like printf; ENAMETOOLONG if it doesn't fit. */
__attribute__((format(printf, 2, 3))) static int append(struct filz_place *place, const char *format, ...)
{
    size_t used = strlen(place->path);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(place->path + used, sizeof(place->path) - used, format, arguments);
    va_end(arguments);
    return (size_t)length >= sizeof(place->path) - used ? ENAMETOOLONG : 0;
}

/* Sets the path to `path`, made absolute: the program may change its working directory. */
static int set_path(struct filz_place *place, const char *path)
{
    place->path[0] = '\0';
    if (path[0] != '/') {
        if (getcwd(place->path, sizeof(place->path) - 1) == NULL)
            return errno == ERANGE ? ENAMETOOLONG : errno;
        strcat(place->path, "/");
    }
    return append(place, "%s", path);
}

/* <folder>/<program>.filz; while that is in use, <program>.<pid>.filz, then <program>.<pid>-<n>.filz. */
static int open_in_folder(struct filz_place *place, const char *folder)
{
    int error = EWOULDBLOCK;
    for (int n = -1; n < HEAPS_IN_A_FOLDER && error == EWOULDBLOCK; n++) {
        error = set_path(place, folder);
        if (error == 0)
            error = append(place, "/%.200s", program_invocation_short_name);
        if (error == 0 && n >= 0)
            error = append(place, ".%ld", (long)getpid());
        if (error == 0 && n > 0)
            error = append(place, "-%d", n);
        if (error == 0)
            error = append(place, ".filz");
        if (error == 0)
            error = open_named(place, n < 0 ? FILZ_KEPT : FILZ_REMOVED_AT_EXIT, false);
    }
    return error;
}

/* Where the system has no O_TMPFILE: a name that nobody can guess, gone at once. */
static int open_and_unlink(const char *folder)
{
    char path[FILZ_PATH_MAX + 64];
    uint64_t random[2];
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -1;
    int length = snprintf(path, sizeof(path), "%s/.filz-%016" PRIx64 "%016" PRIx64, folder, random[0], random[1]);
    if ((size_t)length >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(path, OPEN_SAFELY | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
    if (fd >= 0 && unlink(path) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int open_nameless_in(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    return above_standard(fd >= 0 ? fd : open_and_unlink(folder));
}

int filz_place_open_nameless(struct filz_file *file, const char *path)
{
    int fd = -1;
    const char *slash = strrchr(path, '/');
    if (slash != NULL) {
        char folder[FILZ_PATH_MAX + 1];
        snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path) + 1, path);
        fd = open_nameless_in(folder);
    }
    const char *temporary = secure_getenv("TMPDIR");
    if (fd < 0 && temporary != NULL && temporary[0] != '\0')
        fd = open_nameless_in(temporary);
    if (fd < 0)
        fd = open_nameless_in("/tmp");
    if (fd < 0)
        fd = above_standard(memfd_create("filz", MFD_CLOEXEC));
    if (fd < 0)
        return errno;
    int error = filz_file_remember(file, fd);
    if (error != 0)
        close(fd);
    return error;
}

int filz_place_open(struct filz_place *place, const char *path, bool reopen)
{
    place->path[0] = '\0';
    if (path != NULL) {
        int error = set_path(place, path);
        return error != 0 ? error : open_named(place, FILZ_KEPT, reopen);
    }
    const char *folder = secure_getenv("FILZ_DIR");
    if (folder != NULL && folder[0] != '\0')
        return open_in_folder(place, folder);
    if (getauxval(AT_SECURE) == 0 && open_in_folder(place, "memory") == 0)
        return 0;
    place->path[0] = '\0';
    place->fate = FILZ_NAMELESS;
    return filz_place_open_nameless(&place->file, "");
}

int filz_place_open_again(struct filz_file *file, const char *path)
{
    struct filz_file again = *file;
    again.fd = above_standard(open(path, OPEN_SAFELY));
    if (again.fd < 0)
        return errno;
    if (!filz_file_is_open(&again)) {
        close(again.fd);
        return ESTALE;
    }
    *file = again;
    return 0;
}
