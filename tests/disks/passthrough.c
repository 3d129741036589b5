/* A file system in user space (FUSE) that passes all on to the folder FOLDER. The kernel keeps what is stored to its
 * mappings, and tells it later: until then lseek(2) with SEEK_DATA, which asks it, finds holes there.
 *
 *     passthrough FOLDER MOUNT-POINT */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int folder;

/* The mount point's "/heap.filz" is the folder's "./heap.filz". */
static const char *in_folder(const char *path)
{
    return path[1] == '\0' ? "." : path + 1;
}

static int result(long of_call)
{
    return of_call < 0 ? -errno : (int)of_call;
}

static int descriptor_of(const struct fuse_file_info *file)
{
    return (int)file->fh;
}

static int get_attributes(const char *path, struct stat *status, struct fuse_file_info *file)
{
    if (file != NULL)
        return result(fstat(descriptor_of(file), status));
    return result(fstatat(folder, in_folder(path), status, AT_SYMLINK_NOFOLLOW));
}

static int create_file(const char *path, mode_t mode, struct fuse_file_info *file)
{
    int fd = openat(folder, in_folder(path), file->flags | O_CREAT, mode);
    file->fh = (uint64_t)fd;
    return fd < 0 ? -errno : 0;
}

static int open_file(const char *path, struct fuse_file_info *file)
{
    file->flags &= ~O_EXCL;
    int fd = openat(folder, in_folder(path), file->flags);
    file->fh = (uint64_t)fd;
    return fd < 0 ? -errno : 0;
}

static int read_file(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *file)
{
    (void)path;
    return result(pread(descriptor_of(file), buffer, size, offset));
}

static int write_file(const char *path, const char *buffer, size_t size, off_t offset, struct fuse_file_info *file)
{
    (void)path;
    return result(pwrite(descriptor_of(file), buffer, size, offset));
}

static int allocate(const char *path, int mode, off_t offset, off_t size, struct fuse_file_info *file)
{
    (void)path;
    return result(fallocate(descriptor_of(file), mode, offset, size));
}

static off_t seek(const char *path, off_t offset, int whence, struct fuse_file_info *file)
{
    (void)path;
    off_t found = lseek(descriptor_of(file), offset, whence);
    return found < 0 ? -errno : found;
}

static int cut(const char *path, off_t size, struct fuse_file_info *file)
{
    if (file != NULL)
        return result(ftruncate(descriptor_of(file), size));
    int fd = openat(folder, in_folder(path), O_WRONLY);
    int error = result(fd < 0 ? fd : ftruncate(fd, size));
    close(fd);
    return error;
}

static int get_room(const char *path, struct statvfs *room)
{
    (void)path;
    return result(fstatvfs(folder, room));
}

/* libfuse itself, of a file that is removed while it is open. */
static int rename_file(const char *from, const char *to, unsigned flags)
{
    return result(renameat2(folder, in_folder(from), folder, in_folder(to), flags));
}

static int remove_file(const char *path)
{
    return result(unlinkat(folder, in_folder(path), 0));
}

static int close_file(const char *path, struct fuse_file_info *file)
{
    (void)path;
    return result(close(descriptor_of(file)));
}

static const struct fuse_operations operations = {
    .getattr = get_attributes,
    .create = create_file,
    .open = open_file,
    .read = read_file,
    .write = write_file,
    .fallocate = allocate,
    .lseek = seek,
    .truncate = cut,
    .statfs = get_room,
    .rename = rename_file,
    .unlink = remove_file,
    .release = close_file,
};

int main(int argc, char **argv)
{
    if (argc != 3 || (folder = open(argv[1], O_RDONLY | O_DIRECTORY)) < 0)
        return 2;
    char *arguments[] = {argv[0], argv[2], NULL};
    return fuse_main(2, arguments, &operations, NULL);
}
