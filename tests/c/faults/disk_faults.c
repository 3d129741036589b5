/* From each call that extends a file on, the disk is full, or nothing on it can be changed any more. The same holds as
 * after a single fault, in each_fault.c. */
#include "fault_runs.h"

/* Until the heap is left in peace. */
static void inject_from_each_extension_on(struct fault fault)
{
    begin_to_inject();
    for (size_t i = 0; i < COUNT(scenarios); i++) {
        record(&scenarios[i]);
        for (int role = FAULTS_PARENT; role <= FAULTS_CHILD; role++) {
            for (int j = 0; j < recorded.calls[role]; j++) {
                fault.call = recorded.trace[role][j];
                fault.role = (enum faults_role)role;
                fault.index = j;
                if (strcmp(fault.call->name, "fallocate") == 0 || strncmp(fault.call->name, "pwrite", 6) == 0)
                    inject(&scenarios[i], fault);
            }
        }
    }
    assert_all_went_well();
}

static void the_disk_is_full_from_each_extension_on(void **state)
{
    (void)state;
    inject_from_each_extension_on((struct fault){.error = ENOSPC, .lasting = true});
}

/* Nor can anything be taken back that was begun. */
static void the_disk_breaks_at_each_extension(void **state)
{
    (void)state;
    inject_from_each_extension_on((struct fault){.error = EIO, .lasting = true, .broken = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(the_disk_is_full_from_each_extension_on),
        IN_FRESH_DIRECTORY(the_disk_breaks_at_each_extension),
    };
    return cmocka_run_group_tests_name("disk_faults", tests, share_faults_with_children, NULL);
}
