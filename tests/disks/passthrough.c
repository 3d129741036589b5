/* A file system in user space (FUSE) that passes all on to the directory DIRECTORY. The kernel keeps what is stored to
 * its mappings, and tells it later: until then lseek(2) with SEEK_DATA, which asks it, finds holes there.
 *
 *     passthrough [OPTION...] DIRECTORY MOUNT-POINT
 *
 *     --deny-chmod    chmod(2) is EPERM, as on a mount of FAT or CIFS
 *     --mode=OCTAL    each file shows these permissions, whatever it was made with
 *     --owner=UID     each file shows this owner
 *     --direct-io     no file can be mapped shared: mmap(2) with MAP_SHARED is ENODEV */
#define FUSE_USE_VERSION 31
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int directory;

static struct {
    bool denies_chmod, shows_mode, shows_owner, does_direct_io;
    mode_t mode;
    uid_t owner;
} options;

/* The mount point's "/heap.filz" is the directory's "./heap.filz". */
static const char *in_directory(const char *path)
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
    int error = result(file != NULL ? fstat(descriptor_of(file), status)
                                    : fstatat(directory, in_directory(path), status, AT_SYMLINK_NOFOLLOW));
    if (error != 0 || !S_ISREG(status->st_mode))
        return error;
    if (options.shows_mode)
        status->st_mode = S_IFREG | options.mode;
    if (options.shows_owner)
        status->st_uid = options.owner;
    return 0;
}

static int change_mode(const char *path, mode_t mode, struct fuse_file_info *file)
{
    if (options.denies_chmod)
        return -EPERM;
    return result(file != NULL ? fchmod(descriptor_of(file), mode) : fchmodat(directory, in_directory(path), mode, 0));
}

static int read_directory(const char *path, void *entries, fuse_fill_dir_t add, off_t offset,
                          struct fuse_file_info *file, enum fuse_readdir_flags flags)
{
    (void)offset, (void)file, (void)flags;
    int fd = openat(directory, in_directory(path), O_RDONLY | O_DIRECTORY);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL)
        return -errno;
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL)
        add(entries, entry->d_name, NULL, 0, 0);
    return result(closedir(directory));
}

static int create_file(const char *path, mode_t mode, struct fuse_file_info *file)
{
    int fd = openat(directory, in_directory(path), file->flags | O_CREAT, mode);
    file->fh = (uint64_t)fd;
    file->direct_io = options.does_direct_io;
    return fd < 0 ? -errno : 0;
}

static int open_file(const char *path, struct fuse_file_info *file)
{
    file->flags &= ~O_EXCL;
    int fd = openat(directory, in_directory(path), file->flags);
    file->fh = (uint64_t)fd;
    file->direct_io = options.does_direct_io;
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
    int fd = openat(directory, in_directory(path), O_WRONLY);
    int error = result(fd < 0 ? fd : ftruncate(fd, size));
    close(fd);
    return error;
}

static int get_room(const char *path, struct statvfs *room)
{
    (void)path;
    return result(fstatvfs(directory, room));
}

/* libfuse itself, of a file that is removed while it is open. */
static int rename_file(const char *from, const char *to, unsigned flags)
{
    return result(renameat2(directory, in_directory(from), directory, in_directory(to), flags));
}

static int remove_file(const char *path)
{
    return result(unlinkat(directory, in_directory(path), 0));
}

static int close_file(const char *path, struct fuse_file_info *file)
{
    (void)path;
    return result(close(descriptor_of(file)));
}

static const struct fuse_operations operations = {
    .getattr = get_attributes,
    .chmod = change_mode,
    .readdir = read_directory,
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

static bool take_option(const char *option)
{
    if (strcmp(option, "--deny-chmod") == 0)
        options.denies_chmod = true;
    else if (strcmp(option, "--direct-io") == 0)
        options.does_direct_io = true;
    else if (strncmp(option, "--mode=", 7) == 0)
        options.mode = (mode_t)strtoul(option + 7, NULL, 8), options.shows_mode = true;
    else if (strncmp(option, "--owner=", 8) == 0)
        options.owner = (uid_t)strtoul(option + 8, NULL, 10), options.shows_owner = true;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    int first = 1;
    while (first < argc && take_option(argv[first]))
        first++;
    if (argc - first != 2 || (directory = open(argv[first], O_RDONLY | O_DIRECTORY)) < 0)
        return 2;
    char *arguments[] = {argv[0], argv[first + 1], NULL};
    return fuse_main(2, arguments, &operations, NULL);
}
