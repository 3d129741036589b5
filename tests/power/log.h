/* What disk.c logs, in the order in which the disk got it, and replay.c reads: entries, each with its data after it. */
#ifndef FILZ_TESTS_POWER_LOG_H
#define FILZ_TESTS_POWER_LOG_H

#include "list.h"

#include <stdint.h>

enum entry_kind {
    ENTRY_WRITE, /* data: the bytes at `offset` */
    ENTRY_FLUSH, /* what was written before it is on the disk for good */
    ENTRY_MARKER /* data: a struct marker */
};

struct entry {
    uint64_t kind, offset, length;
};

enum marker_kind {
    MARKER_START,   /* the workload begins: power cuts before it tell nothing about filz */
    MARKER_DURABLE, /* filz_mmap_sync has returned: from here on the lists must be there, at least that long */
    MARKER_RESET    /* filz_mmap_reset is about to be called: from here on the heap may be empty too */
};

/* What the workload tells of the heap, by a write to the control file. */
struct marker {
    uint64_t kind;
    struct lengths lengths;
};

#endif
