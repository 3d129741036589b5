/* Every call that libfilz makes to the system fails, one by one, with each errno value that its manual page lists and
 * with short results. Whatever happens: no signal, a right errno, no block damaged, no descriptor, mapping or file left
 * behind, and a second try works. FILZ_TEST_PERCENT is how many of all faults to try. */
#include "fault_runs.h"

static void inject_all(const struct scenario *scenario, enum faults_role role)
{
    size_t percent = rounds_of(100);
    static size_t turn;
    for (int i = 0; i < recorded.calls[role]; i++)
        for (const int *error = recorded.trace[role][i]->errors; *error != 0; error++)
            if (turn++ * percent % 100 < percent)
                inject(scenario, (struct fault){recorded.trace[role][i], role, i, *error, false, false});
}

static void each_call_fails_with_each_errno(void **state)
{
    (void)state;
    begin_to_inject();
    for (size_t i = 0; i < COUNT(scenarios); i++) {
        record(&scenarios[i]);
        int runs_before = runs;
        inject_all(&scenarios[i], FAULTS_PARENT);
        inject_all(&scenarios[i], FAULTS_CHILD);
        print_message("%-40s %4d calls, %3d in the child; %5d runs\n", scenarios[i].name, recorded.calls[FAULTS_PARENT],
                      recorded.calls[FAULTS_CHILD], runs - runs_before);
    }
    assert_all_went_well();
}

/* -- At load ------------------------------------------------------------------------------------------------------- */

static int run_program(void *failing)
{
    setenv("FAULTS_AT_LOAD", failing, 1);
    return start_this_program("after loading");
}

static void a_call_that_fails_at_load_leaves_a_working_heap(void **state)
{
    (void)state;
    static char *const calls[] = {"pthread_key_create", "pthread_atfork"};
    for (size_t i = 0; i < COUNT(calls); i++) {
        int status = in_child(run_program, calls[i]);
        if (status == SKIPPED)
            SKIP("a program can't start itself here");
        assert_int_equal(status, 0);
    }
}

static int after_loading(void)
{
    filz_mmap heap = {.path = "heap.filz"};
    strict = true;
    TRY(use_heap(&heap));
    TRY(use_from_threads(&heap));
    return filz_mmap_close(&heap);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return after_loading();
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(each_call_fails_with_each_errno),
        IN_FRESH_DIRECTORY(a_call_that_fails_at_load_leaves_a_working_heap),
    };
    return cmocka_run_group_tests_name("each_fault", tests, share_faults_with_children, NULL);
}
