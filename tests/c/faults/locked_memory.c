/* Heaps in a process whose memory is locked, what it maps later too (mlockall(2)), within a limit (RLIMIT_MEMLOCK) or
 * without: the heap can be had, or the error is what the system said, and no file stays. */
#include "support.h"

#include <grp.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { NOBODY = 65534, TAG = 3 };

/* More than any limit but none allows. */
#define LOCKABLE (sizeof(size_t) > 4 ? (size_t)100 << 30 : (size_t)600 << 20)

/* As far as this process may. */
static bool limit_locked_memory(rlim_t most)
{
    struct rlimit limit;
    if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){most, most}) == 0)
        return true;
    return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && most <= limit.rlim_max &&
           setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){most, limit.rlim_max}) == 0;
}

static size_t mapped_bytes(void)
{
    return strtoul(text_of("/proc/self/statm"), NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* Root isn't held to the limit. */
static int become_nobody(void)
{
    if (geteuid() != 0)
        return 0;
    EXPECT(chmod(".", 0777) == 0);
    EXPECT(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    return 0;
}

/* -- Without a limit ----------------------------------------------------------------------------------------------- */

static int live(filz_mmap *heap)
{
    EXPECT(filz_mmap_open(heap) == 0);
    for (size_t size = 1; size <= 8 * MIB; size *= 8) {
        char *block = filz_mmap_alloc_zeroed(heap, size, 1);
        EXPECT(block && is_filled(block, 0, size));
        memset(block, 'l', size);
    }
    return filz_mmap_close(heap);
}

/* A privileged process needs no limit. */
static bool lock_without_limit(void)
{
    limit_locked_memory(RLIM_INFINITY);
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        return false;
    void *memory = mmap(NULL, LOCKABLE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory != MAP_FAILED && munmap(memory, LOCKABLE) == 0;
}

static int lock_all_and_live(void *heap)
{
    if (!lock_without_limit())
        return SKIPPED;
    EXPECT(live(heap) == 0);
    return live(heap); /* if it is persistent, this time it is there */
}

/* The capacity is the default: all of it is mapped, and none of it comes into RAM before it is used. */
static void a_heap_of_default_capacity_lives_in_locked_memory(void **state)
{
    (void)state;
    filz_mmap heaps[] = {
        FILZ_MMAP_INIT, {.path = "named.filz"}, {.path = "persistent.filz", .flags = FILZ_MMAP_PERSISTENT, .tag = TAG}};
    for (size_t i = 0; i < COUNT(heaps); i++) {
        int status = in_child(lock_all_and_live, &heaps[i]);
        if (status == SKIPPED)
            SKIP("memory can't be locked without a limit here");
        assert_int_equal(status, 0);
    }
}

/* -- Within a limit ------------------------------------------------------------------------------------------------ */

struct trial {
    filz_mmap settings;
    size_t more; /* that may be locked than is mapped when the heap is opened */
};

enum { OPENED = 0, REFUSED = 1, WRONG = 2 };

/* What is mapped may be locked, and so much more. */
static bool lock_within_limit(size_t more)
{
    (void)mapped_bytes(); /* stdio's buffer */
    return limit_locked_memory(mapped_bytes() + more) && become_nobody() == 0 &&
           mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
}

static bool is_what_the_system_says(int error)
{
    return error == EAGAIN || error == ENOMEM;
}

static bool allocate_or_not(filz_mmap *heap, size_t size)
{
    char *block = filz_mmap_alloc(heap, size, 1);
    return block != NULL ? memset(block, 'l', size) != NULL : is_what_the_system_says(errno);
}

static int live_within_limit(void *context)
{
    struct trial *trial = context;
    filz_mmap *heap = &trial->settings;
    if (!lock_within_limit(trial->more))
        return SKIPPED;
    int error = filz_mmap_open(heap);
    if (error == 0)
        return allocate_or_not(heap, 100) && allocate_or_not(heap, trial->more / 2) &&
                       allocate_or_not(heap, trial->more) && filz_mmap_close(heap) == 0
                   ? OPENED
                   : WRONG;
    if (!is_what_the_system_says(error))
        fprintf(stderr, "error %d: %s\n", error, filz_error_text(error));
    return is_what_the_system_says(error) && filz_mmap_alloc(heap, 1, 1) == NULL && errno == error ? REFUSED : WRONG;
}

/* A file stays only where its heap was had, and only if it has a name. */
static int assert_lives_within_limit(filz_mmap settings, size_t more)
{
    struct trial trial = {settings, more};
    int status = in_child(live_within_limit, &trial);
    if (status == SKIPPED)
        return SKIPPED;
    bool stays = status == OPENED && settings.path != NULL;
    if ((status != OPENED && status != REFUSED) || entries_in(".") != stays)
        print_message("%s, capacity %zu, flags %u, and %zu bytes may be locked: status %d, %d files stay\n",
                      settings.path ? settings.path : "unnamed", settings.capacity, settings.flags, more, status,
                      entries_in("."));
    assert_true(status == OPENED || status == REFUSED);
    assert_int_equal(entries_in("."), stays);
    if (stays)
        assert_int_equal(unlink(settings.path), 0);
    return status;
}

static void a_limit_of_locked_memory_gives_a_heap_or_what_the_system_said(void **state)
{
    (void)state;
    if (SANITIZED)
        SKIP("the sanitizers map terabytes, which can't be locked");
    static const size_t mores[] = {0, 64 * KIB, MIB, 3 * MIB, 5 * MIB, 16 * MIB, 100 * MIB};
    static const size_t capacities[] = {0, MIB, 64 * MIB};
    int counts[3] = {0};
    assert_int_equal(setenv("TMPDIR", ".", 1), 0);
    for (size_t i = 0; i < COUNT(mores) * COUNT(capacities) * 3; i++) {
        filz_mmap settings = {.path = i % 3 ? "a.filz" : NULL,
                              .capacity = capacities[i / 3 % COUNT(capacities)],
                              .flags = i % 3 == 2 ? FILZ_MMAP_PERSISTENT : 0};
        int status = assert_lives_within_limit(settings, mores[i / 3 / COUNT(capacities)]);
        counts[status == SKIPPED ? 2 : status]++;
    }
    assert_int_equal(unsetenv("TMPDIR"), 0);
    if (counts[OPENED] + counts[REFUSED] == 0)
        SKIP("memory can't be locked within a limit here");
    print_message("%d heaps opened, %d were refused, %d limits were not allowed\n", counts[OPENED], counts[REFUSED],
                  counts[2]);
}

/* -- A persistent heap that is there already ----------------------------------------------------------------------- */

static int make_persistent(void *path)
{
    filz_mmap heap = {.path = path, .flags = FILZ_MMAP_PERSISTENT};
    if (become_nobody() != 0)
        return SKIPPED;
    EXPECT(filz_mmap_alloc(&heap, 3 * MIB, 1));
    return filz_mmap_close(&heap);
}

/* Its address is free, so that it isn't FILZ_EBASE that keeps it out; nor does it hold too much. */
static void nor_is_a_persistent_heap_refused_for_another_reason(void **state)
{
    (void)state;
    if (SANITIZED)
        SKIP("the sanitizers map terabytes, which can't be locked");
    static const size_t mores[] = {0, 64 * KIB, MIB, 2 * MIB, 3 * MIB, 4 * MIB, 8 * MIB, 100 * MIB};
    struct stat before, after;
    assert_int_equal(in_child(make_persistent, "persistent.filz"), 0);
    size_t tried = 0;
    for (size_t i = 0; i < COUNT(mores); i++) {
        struct trial trial = {{.path = "persistent.filz", .flags = FILZ_MMAP_PERSISTENT}, mores[i]};
        assert_int_equal(stat("persistent.filz", &before), 0);
        int status = in_child(live_within_limit, &trial);
        tried += status != SKIPPED;
        if (status != OPENED && status != REFUSED && status != SKIPPED)
            print_message("%zu bytes may be locked: wrong\n", mores[i]);
        assert_true(status == OPENED || status == REFUSED || status == SKIPPED);
        assert_int_equal(stat("persistent.filz", &after), 0);
        assert_true(status == OPENED || after.st_size == before.st_size);
    }
    if (tried == 0)
        SKIP("memory can't be locked within a limit here");
}

static int enter_quietly(void **state)
{
    return enter_fresh_directory(state) || setenv("FILZ_QUIET", "1", 1);
}

#define QUIETLY(test) cmocka_unit_test_setup_teardown(test, enter_quietly, leave_fresh_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUIETLY(a_heap_of_default_capacity_lives_in_locked_memory),
        QUIETLY(a_limit_of_locked_memory_gives_a_heap_or_what_the_system_said),
        QUIETLY(nor_is_a_persistent_heap_refused_for_another_reason),
    };
    return cmocka_run_group_tests_name("locked_memory", tests, NULL, NULL);
}
