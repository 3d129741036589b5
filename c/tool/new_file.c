/* Makes files that have no name before they are complete. It may not replace a file, or leave part of one. */
#include "new_file.h"

#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* --- on file systems without unnamed files --- */

static const int deadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

enum { DEADLY = sizeof(deadly) / sizeof(deadly[0]) };

/* For the signal handler to remove. */
static int temporary_in;
static const char *volatile temporary_name;

static void remove_and_end(int signal_number)
{
    if (temporary_name != NULL)
        unlinkat(temporary_in, temporary_name, 0);
    raise(signal_number); /* which now ends the program */
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = remove_and_end, .sa_flags = (int)SA_RESETHAND}, before;
    for (size_t i = 0; i < DEADLY; i++)
        if (sigaction(deadly[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(deadly[i], &action, NULL);
}

static void remove_temporary(struct new_file *file)
{
    if (file->temporary[0] != '\0')
        unlinkat(file->directory, file->temporary, 0);
    temporary_name = NULL;
    file->temporary[0] = '\0';
}

static bool open_temporary(struct new_file *file)
{
    uint64_t number = 0;
    (void)!getrandom(&number, sizeof(number), 0);
    snprintf(file->temporary, sizeof(file->temporary), ".filz-%016" PRIx64, number);
    temporary_in = file->directory;
    temporary_name = file->temporary;
    watch_signals();
    file->fd = openat(file->directory, file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file->fd < 0)
        temporary_name = NULL, file->temporary[0] = '\0';
    return file->fd >= 0;
}

/* --- opening --- */

static bool open_directory(struct new_file *file, const char *path)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int length = slash != NULL ? (int)(slash - path) + 1 : 0;
    if ((size_t)length >= sizeof(directory)) {
        errno = ENAMETOOLONG;
        return false;
    }
    snprintf(directory, sizeof(directory), "%.*s", length, path);
    file->name = path + length;
    file->directory = open(slash != NULL ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return file->directory >= 0;
}

static bool is_free(const struct new_file *file)
{
    struct stat status;
    if (fstatat(file->directory, file->name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT && file->name[0] != '\0';
    errno = EEXIST;
    return false;
}

static bool open_unnamed(struct new_file *file)
{
    file->fd = openat(file->directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    return file->fd >= 0;
}

static bool say_why(struct problem *problem, int error)
{
    if (error == EEXIST)
        return problem_at(problem, NOWHERE, "already exists, and is never overwritten");
    return problem_of_error(problem, error);
}

bool new_file_open(struct new_file *file, const char *path, struct problem *problem)
{
    *file = (struct new_file){.fd = -1, .directory = -1};
    if (open_directory(file, path) && is_free(file) && (open_unnamed(file) || open_temporary(file)))
        return true;
    say_why(problem, errno);
    new_file_close(file);
    return false;
}

/* --- the name --- */

/* Not every file system has links. */
static bool name_temporary(const struct new_file *file)
{
    return linkat(file->directory, file->temporary, file->directory, file->name, 0) == 0 ||
           (errno != EEXIST &&
            renameat2(file->directory, file->temporary, file->directory, file->name, RENAME_NOREPLACE) == 0);
}

static bool give_name(const struct new_file *file)
{
    char path[64];
    if (file->temporary[0] != '\0')
        return name_temporary(file);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
    return linkat(AT_FDCWD, path, file->directory, file->name, AT_SYMLINK_FOLLOW) == 0;
}

/* Some file systems can't sync a directory. */
static bool sync_directory(const struct new_file *file)
{
    if (fsync(file->directory) == 0 || errno == EINVAL)
        return true;
    int error = errno;
    unlinkat(file->directory, file->name, 0);
    errno = error;
    return false;
}

bool new_file_publish(struct new_file *file, mode_t mode, struct problem *problem)
{
    bool done = fchmod(file->fd, mode) == 0 && fsync(file->fd) == 0 && give_name(file);
    int error = errno;
    remove_temporary(file);
    if (!done)
        return say_why(problem, error);
    return sync_directory(file) || say_why(problem, errno);
}

void new_file_close(struct new_file *file)
{
    remove_temporary(file);
    if (file->fd >= 0)
        close(file->fd);
    if (file->directory >= 0)
        close(file->directory);
    file->fd = file->directory = -1;
}
