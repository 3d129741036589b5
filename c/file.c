/* One open file of filz's. What it may not do: use a descriptor without knowing that it is still this file's. */
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* On btrfs a page that is written again goes to a new place, and a full disk has none (SIGBUS): switch that off while
 * the file is empty. See "NOCOW" in btrfs(5). The values are those of <linux/magic.h> and <linux/fs.h>. */
static void never_copy_on_write(int fd)
{
    const unsigned long btrfs_magic = 0x9123683E;
    const long nocow = 0x00800000;
    struct statfs system;
    long flags;
    if (fstatfs(fd, &system) != 0 || (unsigned long)system.f_type != btrfs_magic)
        return;
    if (ioctl(fd, _IOR('f', 1, long), &flags) == 0) {
        flags |= nocow;
        ioctl(fd, _IOW('f', 2, long), &flags);
    }
}

int filz_file_remember(struct filz_file *file, int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        int error = errno;
        close(fd);
        return error;
    }
    never_copy_on_write(fd);
    *file = (struct filz_file){.fd = fd, .device = status.st_dev, .inode = status.st_ino};
    return 0;
}

bool filz_file_is_open(const struct filz_file *file)
{
    struct stat status;
    return file->fd >= 0 && fstat(file->fd, &status) == 0 && status.st_dev == file->device &&
           status.st_ino == file->inode;
}

void filz_file_close(struct filz_file *file)
{
    if (filz_file_is_open(file))
        close(file->fd);
    file->fd = -1;
}

bool filz_file_may_have(off_t size)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || (rlim_t)size <= limit.rlim_cur;
}

/* The next best where the file system has no fallocate: zeros take up their blocks too. */
static int write_zeros(int fd, off_t start, size_t length)
{
    static char zeros[16 * 1024];
    while (length > 0) {
        ssize_t written = pwrite(fd, zeros, length < sizeof(zeros) ? length : sizeof(zeros), start);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : ENOSPC;
        start += written;
        length -= (size_t)written;
    }
    return 0;
}

/* What a failed fallocate took. There is nothing to be done if this fails too. */
static void give_back(int fd, off_t size)
{
    int result = ftruncate(fd, size);
    (void)result;
}

int filz_file_extend(int fd, off_t size, size_t length)
{
    if (!filz_file_may_have(size + (off_t)length))
        return EFBIG;
    int error;
    do
        error = fallocate(fd, 0, size, (off_t)length) == 0 ? 0 : errno;
    while (error == EINTR);
    if (error == EOPNOTSUPP || error == ENOSYS)
        error = write_zeros(fd, size, length);
    if (error != 0)
        give_back(fd, size);
    return error;
}
