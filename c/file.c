/* One open file of filz's. What it may not do: use a descriptor without knowing that it is still this file's. */
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

/* See <linux/magic.h>. */
#define BTRFS_SUPER_MAGIC 0x9123683E
#define TMPFS_MAGIC 0x01021994

static const char zeros[16 * 1024];

/* btrfs writes a page that is written again to a new place, and a full disk has none: SIGBUS. It can be told not to, as
 * long as the file is empty; see "NOCOW" in btrfs(5). The values are those of <linux/fs.h>; the types of ioctl differ
 * between C libraries. */
static void write_in_place(int fd)
{
    const long nocow = 0x00800000;
    long flags;
    if (syscall(SYS_ioctl, fd, _IOR('f', 1, long), &flags) == 0) {
        flags |= nocow;
        syscall(SYS_ioctl, fd, _IOW('f', 2, long), &flags);
    }
}

int filz_file_remember(struct filz_file *file, int fd)
{
    struct stat status;
    struct statfs system;
    if (fstat(fd, &status) != 0)
        return errno;
    unsigned long type = fstatfs(fd, &system) == 0 ? (unsigned long)system.f_type : 0;
    if (type == BTRFS_SUPER_MAGIC)
        write_in_place(fd);
    *file = (struct filz_file){fd, type == TMPFS_MAGIC, status.st_dev, status.st_ino};
    return 0;
}

static bool is_same(const struct filz_file *file, const struct stat *status)
{
    return status->st_dev == file->device && status->st_ino == file->inode;
}

/* The program may have this file open too, to read it, under the number that was ours. */
bool filz_file_is_open(const struct filz_file *file)
{
    struct stat status;
    return file->fd >= 0 && fstat(file->fd, &status) == 0 && is_same(file, &status) &&
           (fcntl(file->fd, F_GETFL) & O_ACCMODE) == O_RDWR;
}

bool filz_file_is_at(const struct filz_file *file, const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && is_same(file, &status);
}

void filz_file_close(struct filz_file *file)
{
    if (filz_file_is_open(file))
        close(file->fd);
    file->fd = -1;
}

bool filz_file_may_have(uint64_t size)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur;
}

/* The next best where the file system has no fallocate: zeros take up their blocks too. The magic stays, without which
 * the next run wouldn't know a new file for filz's. */
static int write_zeros(int fd, off_t start, off_t end)
{
    if (start < (off_t)FILZ_MAGIC_SIZE)
        start = FILZ_MAGIC_SIZE;
    while (start < end) {
        size_t left = (size_t)(end - start);
        ssize_t written = pwrite(fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros), start);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : ENOSPC;
        start += written;
    }
    return 0;
}

static int allocate(int fd, off_t start, size_t length)
{
    int error;
    do
        error = fallocate(fd, 0, start, (off_t)length) == 0 ? 0 : errno;
    while (error == EINTR);
    return error == EOPNOTSUPP || error == ENOSYS ? write_zeros(fd, start, start + (off_t)length) : error;
}

/* Signals wait meanwhile: one that comes more often than an allocation takes would interrupt each of them. */
int filz_file_extend(const struct filz_file *file, uint64_t size, size_t length)
{
    if (!filz_file_may_have(size + length))
        return EFBIG;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = allocate(file->fd, (off_t)size, length);
    if (error != 0)
        filz_file_cut(file, size);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

bool filz_file_write_ahead(const struct filz_file *file, uint64_t start, size_t length)
{
    struct iovec parts[64];
    for (size_t i = 0; i < 64; i++)
        parts[i] = (struct iovec){(void *)zeros, sizeof(zeros)};
    if (file->in_memory || !filz_file_is_open(file) || !filz_file_may_have(start + length))
        return false;
    while (length >= sizeof(zeros)) {
        ssize_t written = pwritev(file->fd, parts, (int)MIN(length / sizeof(zeros), 64), (off_t)start);
        if (written <= 0)
            return false;
        start += (uint64_t)written;
        length -= (size_t)written;
    }
    return true;
}

void filz_file_cut(const struct filz_file *file, uint64_t size)
{
    (void)!ftruncate(file->fd, (off_t)(size > FILZ_MAGIC_SIZE ? size : FILZ_MAGIC_SIZE));
}
