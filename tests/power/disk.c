/* A disk that logs what it gets: a file system in user space (FUSE) with the disk's image as its file `disk`, for a
 * loop device, and the file `control`, to which the workload writes markers. Each write to either and each flush
 * (fsync, which a loop device calls when its file system wants one) is appended to LOG. As one thread does all, the log
 * has one order, and a write that was answered is in it.
 *
 *     disk IMAGE LOG MOUNT-POINT */
#define FUSE_USE_VERSION 31
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int image, log_file;

static bool is_disk(const char *path)
{
    return strcmp(path, "/disk") == 0;
}

static bool is_control(const char *path)
{
    return strcmp(path, "/control") == 0;
}

static int append(enum entry_kind kind, const void *data, size_t length, off_t offset)
{
    struct entry entry = {.kind = kind, .offset = (uint64_t)offset, .length = length};
    struct iovec parts[] = {{&entry, sizeof(entry)}, {(void *)data, length}};
    ssize_t written = writev(log_file, parts, 2);
    return written == (ssize_t)(sizeof(entry) + length) ? 0 : -EIO;
}

static int get_attributes(const char *path, struct stat *status, struct fuse_file_info *file)
{
    (void)file;
    if (is_disk(path))
        return fstat(image, status) == 0 ? 0 : -errno;
    if (!is_control(path) && strcmp(path, "/") != 0)
        return -ENOENT;
    *status = (struct stat){.st_mode = is_control(path) ? S_IFREG | 0600 : S_IFDIR | 0700, .st_nlink = 1};
    return 0;
}

/* Each write to the control file arrives as it was made. */
static int open_file(const char *path, struct fuse_file_info *file)
{
    file->direct_io = is_control(path);
    return 0;
}

static int read_file(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *file)
{
    (void)file;
    if (!is_disk(path))
        return 0;
    ssize_t length = pread(image, buffer, size, offset);
    return length < 0 ? -errno : (int)length;
}

static int write_file(const char *path, const char *buffer, size_t size, off_t offset, struct fuse_file_info *file)
{
    (void)file;
    if (is_disk(path) && pwrite(image, buffer, size, offset) != (ssize_t)size)
        return -EIO;
    int error = append(is_disk(path) ? ENTRY_WRITE : ENTRY_MARKER, buffer, size, offset);
    return error != 0 ? error : (int)size;
}

static int flush_disk(const char *path, int data_only, struct fuse_file_info *file)
{
    (void)data_only, (void)file;
    return is_disk(path) ? append(ENTRY_FLUSH, NULL, 0, 0) : 0;
}

static const struct fuse_operations operations = {
    .getattr = get_attributes,
    .open = open_file,
    .read = read_file,
    .write = write_file,
    .fsync = flush_disk,
};

int main(int argc, char **argv)
{
    if (argc != 4 || (image = open(argv[1], O_RDWR | O_CLOEXEC)) < 0)
        return 2;
    log_file = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (log_file < 0)
        return 2;
    char one_thread[] = "-s";
    char *arguments[] = {argv[0], one_thread, argv[3], NULL};
    return fuse_main(3, arguments, &operations, NULL);
}
