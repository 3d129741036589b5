/* The program changes its user, directory, root, mounts, umask or files while heaps are open, or has no descriptor to
 * spare: the heaps go on. */
#include "descriptors.h"
#include "each_kind.h"
#include "heap_files.h"
#include "mounts.h"

#include <grp.h>

enum { DESCRIPTORS = 4096 }; /* more than are ever open here */

/* -- Changes ------------------------------------------------------------------------------------------------------- */

/* Each of these changes the process; false if it can't be done here. */

static bool drop_rights(void)
{
    return setgroups(0, NULL) == 0 && setgid(12345) == 0 && setuid(12345) == 0;
}

static bool change_directory(void)
{
    return chdir("/") == 0;
}

static bool enter_directory_that_is_deleted(void)
{
    return mkdir("deleted", 0700) == 0 && chdir("deleted") == 0 && rmdir("../deleted") == 0;
}

static bool change_root(void)
{
    return mkdir("root", 0700) == 0 && chroot("root") == 0 && chdir("/") == 0;
}

static bool unmount_proc(void)
{
    return leave_mount_namespace() && umount2("/proc", MNT_DETACH) == 0;
}

/* Over the directory that its files are in. */
static bool mount_over_directory(void)
{
    return leave_mount_namespace() && mount("filz-test", fresh_directory, "tmpfs", 0, "") == 0;
}

static bool forbid_all_modes(void)
{
    umask(0777);
    return true;
}

static bool rename_files(void)
{
    return rename("named.filz", "renamed.filz") == 0 && rename("directory", "renamed-directory") == 0;
}

static bool delete_files(void)
{
    return unlink("named.filz") == 0 && unlink(default_path("directory")) == 0;
}

struct change {
    const char *name;
    bool (*make)(void);
    bool paths_are_gone; /* so a file that should be removed may stay */
};

static const struct change changes[] = {
    {"another user", drop_rights, true},
    {"another directory", change_directory, false},
    {"a deleted directory", enter_directory_that_is_deleted, false},
    {"another root", change_root, true},
    {"no free descriptor", use_up_descriptors, false},
    {"no /proc", unmount_proc, false},
    {"a mount over its directory", mount_over_directory, true},
    {"umask 0777", forbid_all_modes, false},
    {"renamed files", rename_files, true},
    {"deleted files", delete_files, true},
};

/* -- A heap goes on ------------------------------------------------------------------------------------------------ */

struct life {
    struct each_kind each;
    const struct change *change;
    bool loses_descriptors, exits;
};

static int grow_all(struct life *life)
{
    for (size_t i = 0; i < KINDS; i++) {
        char *block = filz_mmap_alloc_zeroed(&life->each.heaps[i], 64 * MIB, 1);
        EXPECT(block && is_usable(block, 64 * MIB));
        EXPECT(is_filled(life->each.blocks[i], 'b', MIB));
    }
    return 0;
}

static int go_on_in_child(void *context)
{
    struct life *life = context;
    for (size_t i = 0; i < KINDS; i++) {
        EXPECT(is_filled(life->each.blocks[i], 'b', MIB));
        memset(life->each.blocks[i], 'c', MIB);
        EXPECT(filz_mmap_alloc(&life->each.heaps[i], 8 * MIB, 1));
    }
    _exit(0); /* a leak checker would look for /proc */
}

static int close_all(struct life *life)
{
    for (size_t i = 0; i < KINDS; i++)
        EXPECT(filz_mmap_close(&life->each.heaps[i]) == 0);
    return 0;
}

/* Without the leak checker, which needs what isn't there any more; the library's own part of the exit is run. */
static int live(void *context)
{
    static struct life life;
    life = *(const struct life *)context;
    EXPECT(open_each_kind(&life.each) == 0);
    if (life.loses_descriptors)
        close_descriptors(DESCRIPTORS);
    if (!life.change->make())
        return SKIPPED;
    EXPECT(in_child(go_on_in_child, &life) == 0);
    EXPECT(grow_all(&life) == 0);
    if (life.exits)
        return 0;
    EXPECT(close_all(&life) == 0);
    _exit(0);
}

/* Whether the files that stay are whole, and no other is there. */
static void assert_left_in_order(const struct life *life)
{
    const char *named = exists("renamed.filz") ? "renamed.filz" : "named.filz";
    const char *directory = exists("renamed-directory") ? "renamed-directory" : "directory";
    if (life->change->make != delete_files && !life->loses_descriptors) {
        assert_int_equal(can_be_walked(named), 0);
        assert_int_equal(can_be_walked(default_path(directory)), 0);
    }
    if (!life->change->paths_are_gone)
        assert_int_equal(entries_in(directory), 1);
}

static void assert_goes_on(const struct change *change, bool loses_descriptors, bool exits)
{
    void *state = NULL;
    struct life life = {.change = change, .loses_descriptors = loses_descriptors, .exits = exits};
    assert_int_equal(enter_fresh_directory(&state), 0);
    assert_int_equal(set_up_directory(), 0);
    int status = in_child(live, &life);
    if (status == SKIPPED)
        print_message("not tried: %s needs root, a mount namespace or a limit that is the system's own\n",
                      change->name);
    else if (status != 0)
        print_message("%s, descriptors %s, %s: failed\n", change->name, loses_descriptors ? "closed" : "open",
                      exits ? "exit" : "close");
    assert_true(status == 0 || status == SKIPPED);
    if (status == 0)
        assert_left_in_order(&life);
    assert_int_equal(leave_fresh_directory(&state), 0);
}

static void a_heap_goes_on_whatever_changes_around_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++)
        for (int exits = 0; exits < 1 + !SANITIZED; exits++)
            assert_goes_on(&changes[i], false, exits);
}

static void a_heap_without_descriptors_goes_on_whatever_changes_around_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++)
        if (changes[i].make != use_up_descriptors)
            assert_goes_on(&changes[i], true, i % 2 && !SANITIZED);
}

/* In a new root, another file has the path that the heap's had. */
static int find_decoy(void *unused)
{
    (void)unused;
    char inside[PATH_MAX + 8];
    filz_mmap heap = {.path = "heap.filz", .capacity = 16 * MIB};
    EXPECT(filz_mmap_open(&heap) == 0);
    snprintf(inside, sizeof(inside), "root%s", heap.heap->backing.location.path);
    for (char *slash = strchr(inside, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        EXPECT(mkdir(inside, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    write_file(inside, FOREIGN);
    if (chroot("root") != 0 || chdir("/") != 0)
        return SKIPPED;
    close_descriptors(DESCRIPTORS);
    EXPECT(filz_mmap_alloc(&heap, 8 * MIB, 1));
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(strcmp(text_of(inside + strlen("root")), FOREIGN) == 0);
    _exit(0);
}

static void another_file_under_the_heaps_path_in_a_new_root_is_untouched(void **state)
{
    (void)state;
    assert_int_equal(set_up_directory(), 0);
    int status = in_child(find_decoy, NULL);
    if (status == SKIPPED)
        SKIP("chroot(2) needs root");
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_heap_goes_on_whatever_changes_around_it),
        cmocka_unit_test(a_heap_without_descriptors_goes_on_whatever_changes_around_it),
        IN_FRESH_DIRECTORY(another_file_under_the_heaps_path_in_a_new_root_is_untouched),
    };
    return cmocka_run_group_tests_name("rights_and_paths", tests, NULL, NULL);
}
