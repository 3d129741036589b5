/* Opens the heap's file. It may not touch a file that isn't filz's, or leak a descriptor. */
#include "location.h"

#include "filz/mmap.h"
#include "format.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Up to this many bytes are cleared by writing zeros, because truncating the file takes longer. */
#define CLEARED_BY_WRITING ((uint64_t)64 << 10)

/* --- what may be used --- */

/* A regular file of this user with one name, which nobody else may write. ESTALE: it lost its name while it was being
 * opened. */
static int check_status(const struct fz_status *status)
{
    if (!status->is_regular)
        return FILZ_ENOTFILE;
    if (!status->is_mine)
        return FILZ_EOWNER;
    bool read_only = !status->is_writable && status->size != 0; /* root could open it anyway */
    if (status->others_write || read_only)
        return FILZ_EMODE;
    if (status->links == 0)
        return ESTALE;
    return status->links == 1 ? 0 : FILZ_ELINKS;
}

/* For a reader: a file that only its owner may write, who is this user or root. */
static int check_status_to_read(const struct fz_status *status)
{
    if (!status->is_regular)
        return FILZ_ENOTFILE;
    if (!status->is_mine && !status->is_roots)
        return FILZ_EOWNER;
    if (status->others_write)
        return FILZ_EMODE;
    return status->links == 0 ? ESTALE : 0;
}

/* An empty file, or one of filz's. A persistent heap isn't overwritten. */
static int check_contents(struct fz_location *location, const struct fz_file *file, uint64_t size)
{
    struct fz_header header = {.persistent = FZ_OVERWRITTEN};
    size_t length = size < sizeof(header) ? (size_t)size : sizeof(header);
    int error = length != 0 ? fz_os_read(file->fd, 0, &header, length) : 0;
    if (error == 0 && length != 0 && !fz_has_magic(&header, length))
        error = FILZ_ENOTHEAP;
    if (error == 0 && location->access == FZ_READ && !fz_may_be_initialized(&header))
        error = FILZ_ENOTHEAP;
    if (error != 0)
        return error;
    location->is_shared = header.persistent == FZ_KEPT_AND_SHARED;
    bool may_have_it = header.persistent == FZ_OVERWRITTEN || location->disposition == FZ_PERSISTENT;
    return may_have_it ? 0 : FILZ_EPERSISTENT;
}

static int as_in_use(int error)
{
    return error == EWOULDBLOCK ? FILZ_EINUSE : error;
}

static int check_file(const struct fz_file *file, struct fz_status *status)
{
    int error = fz_os_status(file, status);
    if (error != 0)
        return error;
    return file->read_only ? check_status_to_read(status) : check_status(status);
}

/* The writer's byte comes first, so that a refused writer doesn't disturb readers. Whether the heap is shared changes
 * only under it, and so does the size. */
static int lock_shared(struct fz_location *location, struct fz_file *file, uint64_t size)
{
    int error = fz_os_lock_byte(file, FZ_WRITER_BYTE, FZ_LOCK_ALONE);
    if (error == 0)
        error = check_contents(location, file, size);
    if (error == 0)
        error = fz_os_lock(file, location->is_shared ? FZ_LOCK_SHARED : FZ_LOCK_ALONE);
    location->is_alone = error == 0 && !location->is_shared;
    return error;
}

static int lock(struct fz_location *location, struct fz_file *file, uint64_t size)
{
    if (location->access == FZ_WRITE_SHARED)
        return as_in_use(lock_shared(location, file, size));
    return as_in_use(fz_os_lock(file, location->access == FZ_WRITE ? FZ_LOCK_ALONE : FZ_LOCK_SHARED));
}

/* All but a shared writer need this too. Where the system has no such locks, there is no shared writer. */
static int lock_byte_of_shared(const struct fz_location *location, struct fz_file *file)
{
    if (location->access == FZ_WRITE_SHARED || !location->is_shared)
        return 0;
    uint64_t byte = location->access == FZ_READ ? FZ_READERS_BYTE : FZ_WRITER_BYTE;
    int error = fz_os_lock_byte(file, byte, location->access == FZ_WRITE ? FZ_LOCK_ALONE : FZ_LOCK_SHARED);
    return error == EOPNOTSUPP ? 0 : as_in_use(error);
}

/* Locks the file, if this program may have it, as it may if it made it. */
static int lock_if_ours(struct fz_location *location, struct fz_file *file)
{
    struct fz_status status = {0};
    int error = location->is_new ? 0 : check_file(file, &status);
    if (error == 0 && location->access == FZ_READ) /* its lock must not stop a program that initializes the heap */
        error = check_contents(location, file, status.size);
    if (error == 0)
        error = lock(location, file, status.size);
    if (error == 0)
        error = check_file(file, &status);
    if (error == 0)
        error = check_contents(location, file, status.size);
    if (error == 0)
        error = lock_byte_of_shared(location, file);
    if (error == 0 && !file->read_only && !fz_os_may_write(fz_os_page_size()))
        error = EFBIG;
    location->size = status.size;
    location->is_private = status.is_private;
    return error;
}

/* --- opening --- */

static int as_no_file(int error)
{
    return error == ENXIO ? FILZ_ENOTFILE : error; /* ENXIO is a socket */
}

static int open_existing_or_new(struct fz_location *location, struct fz_file *file)
{
    if (location->access == FZ_READ || location->access == FZ_COPY)
        return as_no_file(fz_os_open(file, location->path, FZ_OPEN_TO_READ));
    int error = fz_os_open(file, location->path, FZ_OPEN_EXISTING);
    location->is_new = error == ENOENT;
    if (error == ENOENT)
        error = fz_os_open(file, location->path, FZ_OPEN_NEW);
    return error == EEXIST ? ESTALE : as_no_file(error);
}

static int open_named(struct fz_location *location, struct fz_file *file, enum fz_disposition disposition)
{
    int error = ESTALE;
    location->disposition = disposition;
    for (int tries = 0; tries < 100 && error == ESTALE; tries++) {
        error = open_existing_or_new(location, file);
        if (error != 0)
            continue;
        error = lock_if_ours(location, file);
        if (error == FILZ_EINUSE)
            fz_os_unlock_and_close(file); /* the holder of the lock has the file, even if it was made here */
        else if (error != 0)
            fz_location_abandon(location, file, false);
    }
    return error;
}

/* Appends to the path like printf. */
__attribute__((format(printf, 2, 3))) static int append(struct fz_location *location, const char *format, ...)
{
    size_t used = strlen(location->path);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(location->path + used, sizeof(location->path) - used, format, arguments);
    va_end(arguments);
    return (size_t)length >= sizeof(location->path) - used ? FILZ_EPATH : 0;
}

/* Makes the path absolute, because the program may change its directory. */
static int set_path(struct fz_location *location, const char *path)
{
    location->path[0] = '\0';
    int error = path[0] != '/' ? fz_os_working_directory(location->path, sizeof(location->path) - 1) : 0;
    if (error != 0)
        return error == ERANGE ? FILZ_EPATH : error;
    return append(location, path[0] != '/' ? "/%s" : "%s", path);
}

/* An unnamed file in the directory of `path`. */
static int open_unnamed_beside(struct fz_location *location, struct fz_file *file, const char *path)
{
    int length = (int)(strrchr(path, '/') - path) + 1;
    if (location->path != path)
        snprintf(location->path, sizeof(location->path), "%.*s", length, path);
    location->path[length] = '\0';
    return fz_os_open_unnamed(file, location->path);
}

/* Shows any process that it is in use. Failure doesn't matter, because nobody else can open it as a heap. */
static int lock_unnamed(const struct fz_file *file)
{
    fz_os_lock(file, FZ_LOCK_ALONE);
    return 0;
}

/* <directory>/<program>.filz, or, while that is in use, an unnamed file there. */
static int open_in_directory(struct fz_location *location, struct fz_file *file, const char *directory)
{
    int error = set_path(location, directory);
    if (error == 0)
        error = append(location, "/%.200s.filz", fz_os_program());
    if (error == 0)
        error = open_named(location, file, FZ_NAMED);
    if (error != FILZ_EINUSE)
        return error;
    location->disposition = FZ_UNNAMED;
    location->is_new = false;
    location->size = 0;
    error = open_unnamed_beside(location, file, location->path);
    return error == 0 ? lock_unnamed(file) : error;
}

int fz_location_open_unnamed(struct fz_location *location, struct fz_file *file, const char *path)
{
    char temporary[FZ_PATH_MAX + 1];
    const char *variable = fz_os_environment("TMPDIR");
    *location = (struct fz_location){.disposition = FZ_UNNAMED};
    int error = ENOENT;
    if (path[0] == '/')
        error = open_unnamed_beside(location, file, path);
    if (error != 0 && variable != NULL && variable[0] != '\0' &&
        (size_t)snprintf(temporary, sizeof(temporary), "%s/", variable) < sizeof(temporary))
        error = open_unnamed_beside(location, file, temporary);
    if (error != 0)
        error = open_unnamed_beside(location, file, "/tmp/");
    location->path[error != 0 ? 0 : strlen(location->path)] = '\0';
    if (error != 0)
        error = fz_os_open_in_memory(file);
    return error == 0 ? lock_unnamed(file) : error;
}

int fz_location_open_persistent(struct fz_location *location, struct fz_file *file, const char *path,
                                enum fz_access access)
{
    *location = (struct fz_location){.access = access};
    *file = (struct fz_file){.fd = -1};
    int error = set_path(location, path);
    return error != 0 ? error : open_named(location, file, FZ_PERSISTENT);
}

int fz_location_open(struct fz_location *location, struct fz_file *file, const char *path)
{
    *location = (struct fz_location){.disposition = FZ_UNNAMED};
    *file = (struct fz_file){.fd = -1};
    if (path != NULL) {
        int error = set_path(location, path);
        return error != 0 ? error : open_named(location, file, FZ_NAMED);
    }
    const char *directory = fz_os_environment("FILZ_DIR");
    if (directory != NULL && directory[0] != '\0')
        return open_in_directory(location, file, directory);
    location->is_optional = true;
    if (!fz_os_is_privileged() && open_in_directory(location, file, "memory") == 0)
        return 0;
    return fz_location_open_unnamed(location, file, "");
}

/* --- the open file --- */

static bool is_shared_writer(const struct fz_location *location)
{
    return location->access == FZ_WRITE_SHARED && location->disposition == FZ_PERSISTENT;
}

int fz_location_begin_writing(const struct fz_location *location, struct fz_file *file)
{
    return is_shared_writer(location) ? fz_os_lock_byte(file, FZ_WRITTEN_BYTE, FZ_LOCK_ALONE) : 0;
}

bool fz_location_is_written(const struct fz_location *location, const struct fz_file *file)
{
    return location->is_shared && fz_os_is_byte_locked(file, FZ_WRITTEN_BYTE);
}

int fz_location_lock_out(struct fz_location *location, struct fz_file *file)
{
    if (!is_shared_writer(location) || location->is_alone)
        return 0;
    int error = fz_os_is_open(file) ? 0 : fz_location_reopen(location, file);
    if (error == 0)
        error = fz_os_lock_byte(file, FZ_READERS_BYTE, FZ_LOCK_ALONE);
    location->is_alone = error == 0;
    return error == EWOULDBLOCK ? EBUSY : error;
}

/* If flock had to be exclusive, and can't become shared now, the writer's byte is enough. */
void fz_location_let_in(struct fz_location *location, const struct fz_file *file)
{
    if (!location->is_alone)
        return;
    location->is_alone = false;
    fz_os_lock(file, FZ_LOCK_SHARED);
    fz_os_unlock_byte(file, FZ_READERS_BYTE);
}

/* The magic is written first, so that a run killed at any moment leaves a file that the next run recognizes as filz's.
 * A part of the magic wouldn't be recognized. */
static int write_magic(const struct fz_file *file)
{
    int error = fz_os_write(file, 0, FZ_MAGIC, FZ_MAGIC_SIZE);
    if (error != 0)
        fz_os_truncate(file, 0);
    return error;
}

/* Sets `*size` to the size left. */
static int clear(const struct fz_file *file, uint64_t *size)
{
    if (*size <= CLEARED_BY_WRITING && fz_os_may_write(*size) && fz_os_write_zeros(file, FZ_MAGIC_SIZE, *size) == 0)
        return 0;
    *size = FZ_MAGIC_SIZE;
    return fz_os_truncate(file, FZ_MAGIC_SIZE);
}

/* If the file system refuses the mode, nobody else may write anyway, as was checked. */
int fz_location_claim(struct fz_location *location, const struct fz_file *file)
{
    if (location->disposition == FZ_UNNAMED)
        return 0;
    if (!location->is_private)
        fz_os_make_private(file);
    return location->size < FZ_MAGIC_SIZE ? write_magic(file) : clear(file, &location->size);
}

int fz_location_reopen(const struct fz_location *location, struct fz_file *file)
{
    struct fz_file again;
    int error = fz_os_open(&again, location->path, FZ_OPEN_EXISTING);
    if (error != 0)
        return error;
    if (again.device != file->device || again.inode != file->inode) {
        fz_os_close(&again);
        return ESTALE;
    }
    *file = again;
    return 0;
}

/* If the file was reopened, its mapping holds the exclusive lock until close, and readers come in only then. */
static int share(const struct fz_file *file)
{
    int error = fz_os_is_open(file) ? fz_os_lock(file, FZ_LOCK_SHARED) : EBADF;
    return error == EWOULDBLOCK ? 0 : error;
}

int fz_location_publish(const struct fz_location *location, const struct fz_file *file, const char *path)
{
    struct fz_location target;
    struct fz_file replaced;
    int error = fz_location_open_persistent(&target, &replaced, path, FZ_COPY);
    if (error == ENOENT || error == 0)
        error = share(file);
    if (error == 0)
        error = fz_os_rename(location->path, target.path);
    fz_os_close(&replaced); /* locked until now, to keep writers out */
    return error != 0 ? error : fz_os_sync_directory_of(target.path);
}

void fz_location_abandon(const struct fz_location *location, struct fz_file *file, bool emptied)
{
    bool is_to_go = location->is_new || (emptied && location->is_optional);
    if (location->disposition != FZ_UNNAMED && is_to_go && fz_os_is_at(file, location->path))
        fz_os_unlink(location->path);
    else if (location->disposition != FZ_UNNAMED && emptied && location->size == 0)
        fz_os_truncate(file, 0);
    fz_os_unlock_and_close(file);
}
