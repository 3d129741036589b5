/* Runs a program with a directory for its heaps, then inspects them. It may not disturb the program, so it prints to
 * standard error, and ends as the program did. */
#include "commands.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* Where the heaps go. */
struct directory {
    char path[PATH_MAX];
    bool fresh;             /* made here */
    struct timespec before; /* the program ran */
};

static int fail(const char *about)
{
    struct problem problem;
    int error = errno;
    problem_of_error(&problem, error);
    report(about, &problem);
    return FAILED;
}

/* --- the directory --- */

/* The program may change its working directory, so the path is absolute. */
static bool find_directory(struct directory *directory, const char *given)
{
    /* As coarse as file times. */
    clock_gettime(CLOCK_REALTIME_COARSE, &directory->before);
    directory->fresh = given == NULL;
    if (given != NULL)
        return realpath(given, directory->path) != NULL;
    const char *parent = getenv("TMPDIR");
    char pattern[PATH_MAX];
    int length = snprintf(pattern, sizeof(pattern), "%s/filz-run-XXXXXX", parent && parent[0] ? parent : "/tmp");
    if ((size_t)length >= sizeof(pattern)) {
        errno = ENAMETOOLONG;
        return false;
    }
    return mkdtemp(pattern) != NULL && realpath(pattern, directory->path) != NULL;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *level)
{
    (void)status, (void)type, (void)level;
    return remove(path);
}

static void remove_directory(const struct directory *directory)
{
    nftw(directory->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int is_heap_name(const struct dirent *entry)
{
    const char *end = strrchr(entry->d_name, '.');
    return end != NULL && strcmp(end, ".filz") == 0;
}

/* A directory that existed before may hold the heaps of others. */
static bool is_new(const struct directory *directory, const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return false;
    return status.st_ctim.tv_sec > directory->before.tv_sec ||
           (status.st_ctim.tv_sec == directory->before.tv_sec && status.st_ctim.tv_nsec >= directory->before.tv_nsec);
}

/* Returns the number of heaps. */
static int inspect_all(const struct directory *directory)
{
    struct dirent **entries;
    int heaps = 0, count = scandir(directory->path, &entries, is_heap_name, alphasort);
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX + NAME_MAX + 2];
        snprintf(path, sizeof(path), "%s/%s", directory->path, entries[i]->d_name);
        if (is_new(directory, path)) {
            fputs(heaps++ > 0 ? "\n" : "", stderr);
            inspect(stderr, path, false);
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return heaps;
}

/* --- the program --- */

/* Passed on to the program if sent to this process. A terminal sends its signals to both. */
static const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

/* They stay pending until wait_for(). The program starts with the mask that this process started with. */
static void block_signals(sigset_t *waited_for, sigset_t *before)
{
    sigemptyset(waited_for);
    sigaddset(waited_for, SIGCHLD);
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
        sigaddset(waited_for, passed_on[i]);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, waited_for, before);
}

/* posix_spawnp(3) returns why it failed. */
static int start(pid_t *child, char **argv, const sigset_t *signals)
{
    posix_spawnattr_t attributes;
    int error = posix_spawnattr_init(&attributes);
    if (error != 0)
        return error;
    posix_spawnattr_setsigmask(&attributes, signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    error = posix_spawnp(child, argv[0], NULL, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static int wait_for(pid_t child, const sigset_t *waited_for)
{
    siginfo_t info;
    int status;
    for (;;) {
        int signal = sigwaitinfo(waited_for, &info);
        if (signal > 0 && signal != SIGCHLD && info.si_code <= 0)
            kill(child, signal);
        if (signal == SIGCHLD && waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

/* Returns the status to end with; `started` says whether the program ran at all. */
static int run_program(char **argv, bool *started)
{
    sigset_t waited_for, before;
    pid_t child;
    block_signals(&waited_for, &before);
    int error = start(&child, argv, &before);
    *started = error == 0;
    if (*started)
        return wait_for(child, &waited_for);
    errno = error;
    fail(argv[0]);
    return error == ENOENT ? NOT_FOUND : CANNOT_RUN;
}

/* --- the command --- */

struct options {
    const char *capacity, *dir;
    bool keep;
};

static void say_none(const char *program)
{
    struct problem problem;
    problem_at(&problem, NOWHERE, "made no heap file: it doesn't use filz, or puts its heap somewhere else");
    report(program, &problem);
}

static int run(const struct options *options, char **argv)
{
    struct directory directory;
    bool started;
    if (!find_directory(&directory, options->dir))
        return fail(options->dir != NULL ? options->dir : "a directory for the heap");
    if (setenv("FILZ_DIR", directory.path, 1) != 0 ||
        (options->capacity != NULL && setenv("FILZ_CAPACITY", options->capacity, 1) != 0))
        return fail("the environment");
    int status = run_program(argv, &started);
    int heaps = started ? inspect_all(&directory) : 0;
    if (started && heaps == 0)
        say_none(argv[0]);
    if (directory.fresh && (heaps == 0 || !options->keep))
        remove_directory(&directory);
    else if (directory.fresh)
        fprintf(stderr, "\nfilz: kept in %s\n", directory.path);
    return status;
}

static bool is_size(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && (text[digits] == '\0' || (strchr("KMGT", text[digits]) != NULL && text[digits + 1] == '\0'));
}

static const char help[] =
    "Usage: filz run [--capacity SIZE] [--dir DIR] [--keep] [--] PROGRAM [ARGUMENT...]\n"
    "Runs a program that uses filz, then inspects its heap.\n"
    "\n"
    "  --capacity SIZE  sets FILZ_CAPACITY for the program: bytes, or with K, M, G or T after\n"
    "  --dir DIR        sets FILZ_DIR for the program, and the heap stays there; else it goes\n"
    "                   to a fresh directory in $TMPDIR or /tmp, which is removed\n"
    "  --keep           don't remove that directory\n"
    "  --help           prints this\n"
    "\n"
    "Exit status: the program's, or 128 plus the signal's number if it was killed; 127 if there\n"
    "is no such program, 126 if it can't be run, 1 if there is no directory.\n";

int command_run(int argc, char **argv)
{
    static const struct option longs[] = {
        {"capacity", required_argument, NULL, 'c'},
        {"dir", required_argument, NULL, 'd'},
        {"keep", no_argument, NULL, 'k'},
        OPTION_HELP,
        {0},
    };
    static const struct usage usage = {help, "+h", longs};
    struct options options = {NULL, NULL, false};
    for (int option; (option = next_option(argc, argv, &usage)) != -1;) {
        if (option == 'c')
            options.capacity = optarg;
        else if (option == 'd')
            options.dir = optarg;
        else
            options.keep = true;
    }
    if (optind == argc)
        wrong_use(argv, "no PROGRAM given");
    if (options.capacity != NULL && !is_size(options.capacity))
        wrong_use(argv, "'%s' isn't a size", options.capacity);
    return run(&options, argv + optind);
}
