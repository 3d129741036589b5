/* What filz never overwrites: files of other programs and users, links, directories, devices. Each is refused with an
 * error of its own and stays as it was. */
#include "heap_files.h"

#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>

/* Each of these makes, at `path`, what filz may not overwrite. Returns false where it cannot be made. */

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

/* What must stay the same. */
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

/* Returns the error of filz_mmap_open. */
static int open_in_child(void *path)
{
    return use(path);
}

/* Makes the foreign file at `place`, opens a heap with `path`, and checks that nothing has changed at `place`. */
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

static void each_kind_of_foreign_file_is_refused_with_its_own_error_and_untouched(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++)
        assert_refused(&refusals[i], "place", "place", refusals[i].error);
}

static void foreign_files_in_FILZ_DIR_are_refused_too(void **state)
{
    (void)state;
    assert_int_equal(mkdir("directory", 0700), 0);
    setenv("FILZ_DIR", "directory", 1);
    for (size_t i = 0; i < COUNT(refusals); i++)
        assert_refused(&refusals[i], default_path("directory"), NULL, refusals[i].error);
}

static void foreign_files_in_memory_lead_to_an_unnamed_heap(void **state)
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

/* A FIFO, a socket and a device have one reason in common: they are not regular files. Both symbolic links have one,
 * and so have both files that others may write. */
static void each_reason_to_refuse_has_an_error_and_a_text_of_its_own(void **state)
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

static void a_file_that_does_not_begin_like_a_heap_is_refused_and_untouched(void **state)
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

static void an_empty_file_becomes_a_heap(void **state)
{
    (void)state;
    write_file("empty", "");
    assert_int_equal(use("empty"), 0);
}

static void a_hard_link_is_accepted_once_the_other_name_is_removed(void **state)
{
    (void)state;
    assert_true(make_hard_link("one"));
    assert_int_equal(use("one"), FILZ_ELINKS);
    assert_int_equal(unlink("other-name"), 0);
    assert_int_equal(use("one"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(each_kind_of_foreign_file_is_refused_with_its_own_error_and_untouched),
        IN_FRESH_DIRECTORY(foreign_files_in_FILZ_DIR_are_refused_too),
        IN_FRESH_DIRECTORY(foreign_files_in_memory_lead_to_an_unnamed_heap),
        IN_FRESH_DIRECTORY(each_reason_to_refuse_has_an_error_and_a_text_of_its_own),
        IN_FRESH_DIRECTORY(a_file_that_does_not_begin_like_a_heap_is_refused_and_untouched),
        IN_FRESH_DIRECTORY(an_empty_file_becomes_a_heap),
        IN_FRESH_DIRECTORY(a_hard_link_is_accepted_once_the_other_name_is_removed),
    };
    return cmocka_run_group_tests_name("foreign_files", tests, NULL, NULL);
}
