/* What series.c leaves in series.filz for series.rs. Its Rust bindings are generated from this header. */
#ifndef SERIES_H
#define SERIES_H

#include <stddef.h>
#include <stdint.h>

/* The tag of such a heap. Change it when the struct below changes. */
#define SERIES_TAG 0x736572696573u

struct series {
    const char *name;
    const double *values;
    size_t count;
    const struct series *next;
};

#endif
