/* What is never overwritten, which processes the lock keeps out, and that no other user can read the file. */
#include "heap_files.h"

#include "steps.h"

#include <dirent.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <time.h>

/* -- What is never overwritten ------------------------------------------------------------------------------------- */

/* Each of these makes, at `path`, what filz may not overwrite. False: not on this machine. */

static bool make_file_of_a_program(const char *path)
{
    write_file(path, FOREIGN);
    return true;
}

static bool make_symbolic_link(const char *path)
{
    write_file("target", "");
    return symlink("target", path) == 0;
}

static bool make_dangling_link(const char *path)
{
    return symlink("nothing", path) == 0;
}

static bool make_hard_link(const char *path)
{
    write_file("other-name", "");
    return link("other-name", path) == 0;
}

static bool make_directory(const char *path)
{
    return mkdir(path, 0700) == 0;
}

static bool make_FIFO(const char *path)
{
    return mkfifo(path, 0600) == 0;
}

static bool make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && close(fd) == 0;
}

/* A second /dev/null, which is the same on every Linux. */
static bool make_device(const char *path)
{
    struct statvfs system;
    return statvfs(".", &system) == 0 && !(system.f_flag & ST_NODEV) &&
           mknod(path, S_IFCHR | 0600, (dev_t)(1 << 8 | 3)) == 0;
}

static bool make_another_users(const char *path)
{
    write_file(path, "");
    return chown(path, 12345, 12345) == 0;
}

static bool make_writable_by_the_group(const char *path)
{
    write_file(path, "");
    return chmod(path, 0620) == 0;
}

static bool make_writable_by_all(const char *path)
{
    write_file(path, "");
    return chmod(path, 0602) == 0;
}

struct refusal {
    const char *name;
    bool (*make)(const char *path);
    int error;
};

static const struct refusal refusals[] = {
    {"a file of another program", make_file_of_a_program, FILZ_ENOTHEAP},
    {"a symbolic link", make_symbolic_link, ELOOP},
    {"a symbolic link to nothing", make_dangling_link, ELOOP},
    {"a hard link", make_hard_link, FILZ_ELINKS},
    {"a directory", make_directory, EISDIR},
    {"a FIFO", make_FIFO, FILZ_ENOTFILE},
    {"a socket", make_socket, FILZ_ENOTFILE},
    {"a device", make_device, FILZ_ENOTFILE},
    {"another user's file", make_another_users, FILZ_EOWNER},
    {"a file that its group may write", make_writable_by_the_group, FILZ_EMODE},
    {"a file that everybody may write", make_writable_by_all, FILZ_EMODE},
};

/* What of a file must stay as it is. */
struct snapshot {
    struct stat status;
    char text[sizeof(FOREIGN)];
};

static struct snapshot snapshot_of(const char *path)
{
    struct snapshot snapshot = {.text = ""};
    assert_int_equal(lstat(path, &snapshot.status), 0);
    if (S_ISREG(snapshot.status.st_mode))
        snprintf(snapshot.text, sizeof(snapshot.text), "%s", text_of(path));
    return snapshot;
}

static void assert_untouched(const char *path, const struct snapshot *before)
{
    struct snapshot now = snapshot_of(path);
    assert_string_equal(now.text, before->text);
    assert_int_equal(now.status.st_ino, before->status.st_ino);
    assert_int_equal(now.status.st_mode, before->status.st_mode);
    assert_int_equal(now.status.st_uid, before->status.st_uid);
    assert_int_equal(now.status.st_gid, before->status.st_gid);
    assert_int_equal(now.status.st_size, before->status.st_size);
    assert_int_equal(now.status.st_nlink, before->status.st_nlink);
    assert_memory_equal(&now.status.st_mtim, &before->status.st_mtim, sizeof(now.status.st_mtim));
}

/* What filz makes of it: an error. */
static int open_in_child(void *path)
{
    return use(path);
}

/* Makes it at `place`, opens a heap with `path`, and looks that nothing has changed there. */
static void assert_refused(const struct refusal *refusal, const char *place, const char *path, int error)
{
    if (!refusal->make(place)) {
        print_message("not made: %s needs root\n", refusal->name);
        return;
    }
    struct snapshot before = snapshot_of(place);
    int entries = entries_in("."), status = in_child(open_in_child, (void *)path);
    if (status != (error & 0xFF)) /* the exit status of a child */
        print_message("%s: %d\n", refusal->name, status);
    assert_int_equal(status, error & 0xFF);
    assert_untouched(place, &before);
    assert_int_equal(entries_in("."), entries);
    assert_int_equal(remove(place), 0);
    unlink("target");
    unlink("other-name");
}

static void what_is_not_filzs_own_is_refused_by_an_error_of_its_own_and_untouched(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++)
        assert_refused(&refusals[i], "place", "place", refusals[i].error);
}

static void what_is_not_filzs_own_in_FILZ_DIR_is_refused_too(void **state)
{
    (void)state;
    assert_int_equal(mkdir("directory", 0700), 0);
    setenv("FILZ_DIR", "directory", 1);
    for (size_t i = 0; i < COUNT(refusals); i++)
        assert_refused(&refusals[i], default_path("directory"), NULL, refusals[i].error);
}

static void what_is_not_filzs_own_in_memory_is_passed_over(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    for (size_t i = 0; i < COUNT(refusals); i++)
        assert_refused(&refusals[i], default_path("memory"), NULL, 0);
}

static bool say_the_same(const struct refusal *one, const struct refusal *other)
{
    return strcmp(filz_error_text(one->error), filz_error_text(other->error)) == 0;
}

/* A FIFO, a socket and a device are one reason: not a regular file. So are both links, and both kinds of others. */
static void each_reason_to_refuse_has_an_errno_and_words_of_its_own(void **state)
{
    (void)state;
    static const int reasons[] = {FILZ_ENOTHEAP, ELOOP,       FILZ_ELINKS, EISDIR,
                                  FILZ_ENOTFILE, FILZ_EOWNER, FILZ_EMODE,  FILZ_EINUSE};
    size_t used = 0;
    for (size_t i = 0; i < COUNT(reasons); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(reasons[i], reasons[j]);
            assert_string_not_equal(filz_error_text(reasons[i]), filz_error_text(reasons[j]));
        }
        for (size_t j = 0; j < COUNT(refusals); j++)
            used += refusals[j].error == reasons[i];
    }
    assert_int_equal(used, COUNT(refusals));
    assert_true(say_the_same(&refusals[5], &refusals[7]));
}

static void a_foreign_file_is_refused_and_untouched(void **state)
{
    (void)state;
    static const char *const contents[] = {FOREIGN, "x", "filzhea", "filzheaX and so on", "FILZHEAP"};
    for (size_t i = 0; i < COUNT(contents); i++) {
        write_file("foreign", contents[i]);
        assert_int_equal(chmod("foreign", 0640), 0);
        assert_int_equal(use("foreign"), FILZ_ENOTHEAP);
        assert_string_equal(text_of("foreign"), contents[i]);
        assert_int_equal(mode_of("foreign"), S_IFREG | 0640);
    }
    assert_int_equal(entries_in("."), 1);
}

static void an_empty_file_is_taken(void **state)
{
    (void)state;
    write_file("empty", "");
    assert_int_equal(use("empty"), 0);
}

static void a_file_that_lost_its_second_name_is_taken(void **state)
{
    (void)state;
    assert_true(make_hard_link("one"));
    assert_int_equal(use("one"), FILZ_ELINKS);
    assert_int_equal(unlink("other-name"), 0);
    assert_int_equal(use("one"), 0);
}

static void a_directory_that_is_missing_is_ENOENT(void **state)
{
    (void)state;
    assert_int_equal(use("missing/a.filz"), ENOENT);
    write_file("file", "");
    assert_int_equal(use("file/a.filz"), ENOTDIR);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char path[3100] = "/";
    while (strlen(path) < sizeof(path) - 2)
        strcat(path, "./");
    assert_int_equal(use(path), FILZ_EPATH);
}

/* -- The lock -------------------------------------------------------------------------------------------------------
 */

static void a_heap_that_this_process_has_open_is_refused(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "a.filz", .capacity = MIB};
    char *block = filz_mmap_alloc(&heap, 100, 1);
    memset(block, 'b', 100);
    assert_int_equal(use("a.filz"), FILZ_EINUSE);
    assert_true(is_filled(block, 'b', 100));
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(use("a.filz"), 0);
}

static void a_heap_that_another_process_has_open_is_refused(void **state)
{
    (void)state;
    struct holder holder = hold("a.filz");
    assert_int_equal(use("a.filz"), FILZ_EINUSE);
    let_go(holder);
    assert_int_equal(use("a.filz"), 0);
}

static void a_file_that_somebody_else_locked_is_refused(void **state)
{
    (void)state;
    int fd = open("a.filz", O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    assert_int_equal(use("a.filz"), FILZ_EINUSE);
    close(fd);
    assert_int_equal(use("a.filz"), 0);
}

/* Two processes at one starting line, again and again. */
struct race {
    size_t rounds;
    unsigned arrived; /* at all starting lines together */
    unsigned owners;  /* that have the heap open just now */
    size_t wins[2];   /* of the round */
    int errors[2];    /* what open said */
    char mark[2][64]; /* what the racers write */
    long long ready[2], started[2];
    size_t close_together;
};

struct racer {
    struct race *race;
    unsigned number;
};

enum kind { FILE_IS_MISSING, FILE_IS_THERE, WINNER_CLOSES_AT_ONCE, KINDS };

/* Waits until both have come here as often. Both run at the same moment only if they don't sleep. */
static void meet(struct race *race, unsigned *meetings)
{
    __atomic_fetch_add(&race->arrived, 1, __ATOMIC_SEQ_CST);
    unsigned all = 2 * ++*meetings;
    for (unsigned spins = 1; __atomic_load_n(&race->arrived, __ATOMIC_SEQ_CST) < all; spins++)
        if (spins % 10000 == 0)
            sched_yield();
}

static long long nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* The process that first learns that the other is there too may be early: both begin at a moment that is still to come.
 */
static void meet_at_line(struct race *race, unsigned number, unsigned *meetings)
{
    race->ready[number] = nanoseconds();
    meet(race, meetings);
    long long start = (race->ready[0] > race->ready[1] ? race->ready[0] : race->ready[1]) + 10000;
    while ((race->started[number] = nanoseconds()) < start)
        continue;
}

/* Opens the heap; a process that gets it must be its only owner, and leaves a mark. */
static int run_for_it(const struct racer *racer, filz_mmap *heap)
{
    struct race *race = racer->race;
    int error = race->errors[racer->number] = filz_mmap_open(heap);
    if (error != 0)
        return 0;
    EXPECT(__atomic_fetch_add(&race->owners, 1, __ATOMIC_SEQ_CST) == 0);
    char *block = filz_mmap_alloc(heap, sizeof(race->mark[0]), 1);
    EXPECT(block);
    memcpy(block, race->mark[racer->number], sizeof(race->mark[0]));
    return 0;
}

static int let_it_go(const struct racer *racer, filz_mmap *heap)
{
    if (racer->race->errors[racer->number] == 0)
        __atomic_fetch_sub(&racer->race->owners, 1, __ATOMIC_SEQ_CST);
    return filz_mmap_close(heap);
}

/* Both look: one has it, the other knows why not, and the file is the winner's. */
static int check_finish(const struct race *race, bool at_once)
{
    int winner = race->errors[0] == 0 ? 0 : 1;
    EXPECT(race->errors[winner] == 0);
    EXPECT(race->errors[1 - winner] == FILZ_EINUSE || (at_once && race->errors[1 - winner] == 0));
    if (at_once && race->errors[1] == 0)
        return 0; /* one after the other: the file is the last one's */
    static char bytes[256 * KIB];
    int fd = open("contended.filz", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, bytes, sizeof(bytes));
    EXPECT(fd >= 0 && length > 0 && close(fd) == 0);
    EXPECT(memcmp(bytes, FZ_MAGIC, strlen(FZ_MAGIC)) == 0);
    EXPECT(memmem(bytes, (size_t)length, race->mark[winner], sizeof(race->mark[0])));
    EXPECT(!memmem(bytes, (size_t)length, race->mark[1 - winner], sizeof(race->mark[0])));
    return 0;
}

static void set_the_line(struct race *race, size_t round)
{
    if (round % KINDS == FILE_IS_MISSING)
        unlink("contended.filz");
    for (size_t i = 0; i < 2; i++)
        snprintf(race->mark[i], sizeof(race->mark[i]), "round %zu racer %zu", round, i);
}

static int race_again_and_again(void *context)
{
    const struct racer *racer = context;
    struct race *race = racer->race;
    unsigned meetings = 0;
    for (size_t round = 0; round < race->rounds; round++) {
        bool at_once = round % KINDS == WINNER_CLOSES_AT_ONCE;
        filz_mmap heap = {.path = "contended.filz", .capacity = MIB};
        if (racer->number == 0)
            set_the_line(race, round);
        meet_at_line(race, racer->number, &meetings);
        EXPECT(run_for_it(racer, &heap) == 0);
        EXPECT(!at_once || let_it_go(racer, &heap) == 0);
        meet(race, &meetings);
        EXPECT(check_finish(race, at_once) == 0);
        if (racer->number == 0)
            race->close_together += llabs(race->started[0] - race->started[1]) < 1000;
        race->wins[racer->number] += race->errors[racer->number] == 0;
        meet(race, &meetings);
        EXPECT(at_once || let_it_go(racer, &heap) == 0);
        meet(race, &meetings);
    }
    return 0;
}

/* A process that fails doesn't come to the next line, where the other would wait for it. */
static int end_racer(pid_t ended, pid_t other)
{
    int status = end_child(ended);
    if (status != 0)
        kill(other, SIGKILL);
    return status;
}

static void of_two_processes_at_one_path_exactly_one_has_it(void **state)
{
    (void)state;
    struct race *race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(race, MAP_FAILED);
    race->rounds = rounds_of(10000);
    struct racer racers[2] = {{race, 0}, {race, 1}};
    pid_t first = begin_child(race_again_and_again, &racers[0]);
    pid_t second = begin_child(race_again_and_again, &racers[1]);
    int status = end_racer(first, second);
    assert_int_equal(end_racer(second, first), 0);
    assert_int_equal(status, 0);
    print_message("%zu races, won %zu and %zu times; %zu begun within a microsecond\n", race->rounds, race->wins[0],
                  race->wins[1], race->close_together);
    munmap(race, sizeof(*race));
}

/* -- Nobody else reads it --------------------------------------------------------------------------------------------
 */

static void the_file_is_its_owners_alone_whatever_the_umask(void **state)
{
    (void)state;
    static const mode_t masks[] = {0, 022, 077, 0777};
    for (size_t i = 0; i < COUNT(masks); i++) {
        char path[] = {'a', (char)('0' + i), '\0'};
        mode_t before = umask(masks[i]);
        assert_int_equal(use(path), 0);
        umask(before);
        assert_int_equal(mode_of(path), S_IFREG | 0600);
    }
}

static void a_file_that_others_could_read_becomes_private(void **state)
{
    (void)state;
    write_file("a.filz", "");
    assert_int_equal(chmod("a.filz", 0644), 0);
    assert_int_equal(use("a.filz"), 0);
    assert_int_equal(mode_of("a.filz"), S_IFREG | 0600);
}

enum { OTHERS = S_IRWXG | S_IRWXO };

/* Whether a file that others may read holds something else than `old` did. The size is asked for first: so both count
 * only if they were so at one moment. */
static bool shows_too_much(const char *path, off_t old)
{
    struct stat first, second;
    return stat(path, &first) == 0 && stat(path, &second) == 0 && (second.st_mode & OTHERS) &&
           first.st_ino == second.st_ino && first.st_size != old;
}

struct observer {
    size_t looks, wrong;
    off_t old;       /* size of the file of the last run; -1: there was none */
    unsigned rounds; /* goes up before the test itself changes the file */
    bool stop;
};

static void *observe(void *context)
{
    struct observer *observer = context;
    while (!__atomic_load_n(&observer->stop, __ATOMIC_SEQ_CST)) {
        unsigned round = __atomic_load_n(&observer->rounds, __ATOMIC_SEQ_CST);
        bool wrong = shows_too_much("a.filz", observer->old);
        observer->wrong += wrong && round == __atomic_load_n(&observer->rounds, __ATOMIC_SEQ_CST);
        observer->looks++;
    }
    return NULL;
}

/* A file that the last run left, and that somebody has made readable since; or none. */
static off_t leave_a_file(bool leave)
{
    struct stat status;
    assert_int_equal(use("a.filz"), 0);
    assert_int_equal(chmod("a.filz", 0644), 0);
    assert_int_equal(stat("a.filz", &status), 0);
    if (leave)
        return status.st_size;
    assert_int_equal(unlink("a.filz"), 0);
    return -1;
}

static void nobody_else_can_read_the_file_at_any_moment(void **state)
{
    (void)state;
    umask(0);
    for (int leave = 0; leave < 2; leave++) {
        struct observer observer = {.old = leave_a_file(leave)};
        size_t rounds = rounds_of(1000);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, observe, &observer), 0);
        for (size_t i = 0; i < rounds; i++) {
            assert_int_equal(use("a.filz"), 0);
            __atomic_fetch_add(&observer.rounds, 1, __ATOMIC_SEQ_CST);
            assert_int_equal(leave ? chmod("a.filz", 0644) : unlink("a.filz"), 0);
        }
        __atomic_store_n(&observer.stop, true, __ATOMIC_SEQ_CST);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(observer.wrong, 0);
        print_message("%zu heaps opened %s, looked at %zu times\n", rounds, leave ? "over a file" : "anew",
                      observer.looks);
    }
}

static int open_with_umask_0(void *path)
{
    umask(0);
    filz_mmap heap = {.path = path, .capacity = 8 * MIB};
    EXPECT(filz_mmap_alloc(&heap, 4 * MIB, 1));
    pid_t child = fork();
    if (child == 0)
        _exit(filz_mmap_alloc(&heap, 2 * MIB, 1) == NULL);
    EXPECT(end_child(child) == 0);
    return filz_mmap_close(&heap);
}

/* Whether one of the process's unnamed files is open to others. */
static int unnamed_files_are_private(pid_t pid)
{
    char path[64];
    struct stat status;
    for (int fd = 0; fd < 32; fd++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
        if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 0)
            EXPECT((status.st_mode & OTHERS) == 0);
    }
    return 0;
}

/* Looks at each entry to the system and return from it. Returns how often; 0 if this can't be done here. */
static size_t look_at_each_call(char *path, off_t old)
{
    size_t looks = 0;
    int status = -1;
    pid_t child = begin_steps(open_with_umask_0, path);
    if (child < 0)
        return 0;
    for (; status == -1; looks++) {
        status = go_a_step(child, STEP_CALL);
        assert_false(path != NULL && shows_too_much(path, old));
        assert_int_equal(unnamed_files_are_private(child), 0);
    }
    assert_int_equal(status, 0);
    return looks;
}

static void nobody_else_can_read_the_file_between_any_two_calls_to_the_system(void **state)
{
    (void)state;
    size_t looks = look_at_each_call(NULL, -1);
    if (looks == 0)
        SKIP("processes can't be traced here");
    looks += look_at_each_call("a.filz", leave_a_file(false));
    looks += look_at_each_call("a.filz", leave_a_file(true));
    print_message("looked %zu times\n", looks);
}

static void a_file_without_a_name_is_its_owners_alone(void **state)
{
    (void)state;
    umask(0);
    filz_mmap heap = {.capacity = MIB};
    struct stat status;
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(fstat(descriptor_of(&heap), &status), 0);
    assert_int_equal(status.st_nlink, 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(what_is_not_filzs_own_is_refused_by_an_error_of_its_own_and_untouched),
        IN_FRESH_DIRECTORY(what_is_not_filzs_own_in_FILZ_DIR_is_refused_too),
        IN_FRESH_DIRECTORY(what_is_not_filzs_own_in_memory_is_passed_over),
        IN_FRESH_DIRECTORY(each_reason_to_refuse_has_an_errno_and_words_of_its_own),
        IN_FRESH_DIRECTORY(a_foreign_file_is_refused_and_untouched),
        IN_FRESH_DIRECTORY(an_empty_file_is_taken),
        IN_FRESH_DIRECTORY(a_file_that_lost_its_second_name_is_taken),
        IN_FRESH_DIRECTORY(a_directory_that_is_missing_is_ENOENT),
        IN_FRESH_DIRECTORY(a_path_that_is_too_long_is_refused),
        IN_FRESH_DIRECTORY(a_heap_that_this_process_has_open_is_refused),
        IN_FRESH_DIRECTORY(a_heap_that_another_process_has_open_is_refused),
        IN_FRESH_DIRECTORY(a_file_that_somebody_else_locked_is_refused),
        IN_FRESH_DIRECTORY(of_two_processes_at_one_path_exactly_one_has_it),
        IN_FRESH_DIRECTORY(the_file_is_its_owners_alone_whatever_the_umask),
        IN_FRESH_DIRECTORY(a_file_that_others_could_read_becomes_private),
        IN_FRESH_DIRECTORY(nobody_else_can_read_the_file_at_any_moment),
        IN_FRESH_DIRECTORY(nobody_else_can_read_the_file_between_any_two_calls_to_the_system),
        IN_FRESH_DIRECTORY(a_file_without_a_name_is_its_owners_alone),
    };
    return cmocka_run_group_tests_name("locks", tests, NULL, NULL);
}
