/* What series.c leaves in series.filz, and series.rs finds there. The Rust side of it is made from this header. */
#ifndef SERIES_H
#define SERIES_H

#include <stddef.h>
#include <stdint.h>

/* The tag of such a heap. When the struct below changes, it must too. */
#define SERIES_TAG 0x736572696573u

struct series {
    const char *name;
    const double *values;
    size_t count;
    const struct series *next;
};

#endif
