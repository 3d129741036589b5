/* Runs a scenario in a child process, with one fault or none, and looks for what was left behind. */
#ifndef FILZ_TESTS_FAULT_RUNS_H
#define FILZ_TESTS_FAULT_RUNS_H

#include "fault_scenarios.h"
#include "threads.h"

#include <dirent.h>

/* -- What must not be left behind ---------------------------------------------------------------------------------- */

struct traces {
    int descriptors;
    size_t pages;
};

/* Without the canary of fork.c, which stays. */
static size_t mapped_pages(void)
{
    char text[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
        return 0;
    close(fd);
    return strtoul(text, NULL, 10);
}

static struct traces traces_now(void)
{
    return (struct traces){open_descriptors(), mapped_pages()};
}

/* A descriptor that can't be asked whether it is the heap's is left open: it may be the program's. */
static int nothing_left_open(struct traces before)
{
    struct traces now = traces_now();
    EXPECT(now.descriptors <= before.descriptors || failed("fstat") || failed("fcntl"));
    EXPECT(now.pages <= before.pages + 1 || failed("munmap") || SANITIZED);
    return 0;
}

/* A file that can't be removed, or of which it can't be said whether it is the heap's. */
static bool may_be_left(void)
{
    return failed("unlink") || failed("lstat") || failed("fstat") || failed("flock") || failed("pread");
}

static int unexpected_files_in(const char *directory)
{
    DIR *entries = opendir(directory);
    if (entries == NULL)
        return 0;
    const char *const expected[] = {".", "..", "directory", "memory", "heap.filz", default_path("") + 1};
    int unexpected = 0;
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        bool known = false;
        for (size_t i = 0; i < COUNT(expected); i++)
            known |= strcmp(entry->d_name, expected[i]) == 0;
        if (known)
            continue;
        unexpected++;
        if (!may_be_left())
            fprintf(stderr, "left behind: %s/%s\n", directory, entry->d_name);
        unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
    return unexpected;
}

static int no_file_left(void)
{
    int files = unexpected_files_in(".") + unexpected_files_in("directory") + unexpected_files_in("memory");
    EXPECT(files == 0 || may_be_left());
    return 0;
}

/* -- One run ------------------------------------------------------------------------------------------------------- */

static void *do_nothing(void *nothing)
{
    return nothing;
}

static int go_on(const struct scenario *scenario, filz_mmap *heap)
{
    bool was_strict = strict;
    strict = true;
    if (!failed("ftruncate"))
        TRY(file_is_as_long_as_the_heap(heap));
    TRY(allocate(heap, 20 * KIB, 8, true));
    TRY(allocate(heap, 500 * KIB, 8, true));
    TRY(look(heap));
    TRY(intact());
    strict = was_strict;
    return scenario->in_vain;
}

/* The heap that is left to the exit. */
static filz_mmap exited;

/* Runs after the library's own, which has finished the file. */
__attribute__((destructor(101))) static void use_after_exit(void)
{
    if (!is_open(&exited))
        return;
    faults_on = false;
    strict = true;
    for (size_t i = 0; i < 4; i++)
        if (allocate(&exited, MIB, 8, true) != 0 || intact() != 0)
            _exit(1);
}

/* The scenario with the fault, then again without. */
static int run(void *context)
{
    const struct scenario *scenario = context;
    filz_mmap heap, first;
    in_thread(do_nothing, NULL); /* the C library keeps the stack of a thread that ended for the next one */
    TRY(prepare(scenario, &heap, &first));
    struct traces before = traces_now();
    strict = faults->fault.call == NULL;
    faults_on = true;
    TRY(scenario->body(&heap));
    faults_on = false;
    if (!scenario->in_vain)
        TRY(go_on(scenario, &heap));
    faults_on = true;
    if (scenario->exits) {
        exited = heap;
        return 0;
    }
    EXPECT(filz_mmap_close(&heap) == 0);
    faults_on = false;
    block_count = 0;
    TRY(nothing_left_open(before));
    if (failed("fstat") || failed("fcntl") || failed("munmap"))
        return 0; /* what was left has the lock */
    faults->over = strict = faults_on = true;
    TRY(scenario->body(&heap));
    EXPECT(filz_mmap_close(&heap) == 0);
    faults_on = false;
    return filz_mmap_close(&first);
}

/* Before the tests: what a child counts, its parent sees. */
static int share_faults_with_children(void **state)
{
    (void)state;
    faults = share_with_children(sizeof(*faults));
    return faults == NULL ? -1 : 0;
}

static int run_with(const struct scenario *scenario, struct fault fault)
{
    faults->fault = fault;
    faults->lacks = scenario->lacks;
    faults->over = false;
    faults->injected = 0;
    faults->calls[FAULTS_PARENT] = faults->calls[FAULTS_CHILD] = 0;
    pid_t child = fork();
    if (child != 0) {
        int status = end_child(child);
        return status != 0 ? status : no_file_left();
    }
    faults->owner = getpid();
    let_signals_end_this();
    exit(run((void *)scenario));
}

static int runs, injected, wrong;

static void inject(const struct scenario *scenario, struct fault fault)
{
    int status = run_with(scenario, fault);
    runs++;
    injected += faults->injected;
    if (status == 0 && faults->injected > 0)
        return;
    wrong++;
    print_message("%s: %s, the %s's call %d: %s%s: %s (%d)\n", scenario->name, fault.call->name,
                  fault.role == FAULTS_CHILD ? "child" : "parent", fault.index,
                  fault.error == FAULT_SHORT     ? "a short result"
                  : fault.error == FAULT_NOTHING ? "nothing done"
                                                 : strerror(fault.error),
                  fault.lasting ? " from then on" : "", faults->injected > 0 ? "failed" : "not reached", status);
}

static void begin_to_inject(void)
{
    runs = injected = wrong = 0;
}

static void assert_all_went_well(void)
{
    print_message("%d faults injected in %d runs\n", injected, runs);
    assert_int_equal(wrong, 0);
    assert_true(runs > 0);
}

/* Which calls the scenario makes, and what it makes of them when none fails. */
static struct faults recorded;

static void record(const struct scenario *scenario)
{
    int status = run_with(scenario, (struct fault){0});
    if (status != 0)
        print_message("%s, no fault: failed with %d\n", scenario->name, status);
    assert_int_equal(status, 0);
    recorded = *faults;
    assert_in_range(recorded.calls[FAULTS_PARENT], 1, FAULTS_TRACE_MAX);
    assert_in_range(recorded.calls[FAULTS_CHILD], 0, FAULTS_TRACE_MAX);
}

#endif
