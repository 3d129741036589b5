/* Makes calls of one kind fail, at a place that the scenarios of fault_scenarios.h do not reach. */
#ifndef FILZ_TESTS_ONE_FAULT_H
#define FILZ_TESTS_ONE_FAULT_H

#include "support.h"

#include "faults.h"

/* `body` is run once, so that the calls which it makes are known by name. */
MAYBE_UNUSED static const struct faults_call *call_of(const char *name, void (*body)(void))
{
    faults->owner = getpid();
    faults->fault = (struct fault){.call = NULL};
    faults->calls[FAULTS_PARENT] = 0;
    faults_on = true;
    body();
    faults_on = false;
    for (int i = 0; i < faults->calls[FAULTS_PARENT] && i < FAULTS_TRACE_MAX; i++)
        if (strcmp(faults->trace[FAULTS_PARENT][i]->name, name) == 0)
            return faults->trace[FAULTS_PARENT][i];
    fail_msg("%s isn't called", name);
    return NULL;
}

/* From the next call on, or the one after so many others, each call of this kind fails, until faults_on is false. */
MAYBE_UNUSED static void fail_from(const struct faults_call *call, int index, int error)
{
    faults->fault = (struct fault){.call = call, .index = index, .error = error, .lasting = true};
    faults->calls[FAULTS_PARENT] = faults->injected = 0;
    faults_on = true;
}

/* Of the calls that were made last, only the first of this kind fails. */
MAYBE_UNUSED static void fail_once(const struct faults_call *call, int error)
{
    int index = 0, all = faults->calls[FAULTS_PARENT];
    while (index < all && faults->trace[FAULTS_PARENT][index] != call)
        index++;
    assert_true(index < all);
    fail_from(call, index, error);
    faults->fault.lasting = false;
}

#endif
