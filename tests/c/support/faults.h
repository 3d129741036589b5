/* Makes the calls by which libfilz reaches the system fail, one by one: see faults_wrap.c. */
#ifndef FILZ_TESTS_FAULTS_H
#define FILZ_TESTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Instead of an errno value: the call does less than it was asked for. */
#define FAULT_SHORT 10000
/* It does nothing, and says so by 0. */
#define FAULT_NOTHING 10001

#define FAULTS_TRACE_MAX 2000

struct faults_call {
    const char *name;
    const int *errors; /* the errno values that its manual page lists; 0 ends them */
};

enum faults_role { FAULTS_PARENT, FAULTS_CHILD };

/* The call that fails: the one at `index` among those that the process makes. */
struct fault {
    const struct faults_call *call; /* NULL: none */
    enum faults_role role;
    int index;
    int error;
    bool lasting; /* each later one of these calls fails too */
    bool broken;  /* and each later call that changes a file */
};

/* What the system doesn't have: the errno value by which it says so, or 0. */
struct faults_lacks {
    int fallocate, tmpfile, directories, populate, wipe_on_fork, seek;
};

/* Shared with child processes. A child of `owner` counts its calls on its own. */
struct faults {
    pid_t owner;
    struct fault fault;
    struct faults_lacks lacks;
    bool over; /* calls neither count nor fail any more */
    int injected;
    int calls[2]; /* by role */
    const struct faults_call *trace[2][FAULTS_TRACE_MAX];
};

extern struct faults *faults;

/* Calls count, and fail, only in between: a test makes calls of its own. */
extern bool faults_on;

#endif
