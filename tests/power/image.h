/* A disk as a power cut leaves it, made of the image that it began with and the log of disk.c. */
#ifndef FILZ_TESTS_POWER_IMAGE_H
#define FILZ_TESTS_POWER_IMAGE_H

#include "log.h"

#include <stdint.h>

struct log {
    const struct entry **entries;
    size_t count;
};

/* Which of the writes since the last flush are on the disk; those before it all are. */
enum cut {
    CUT_IN_ORDER, /* all */
    CUT_WRITES,   /* any of them */
    CUT_PAGES,    /* any pages of them */
    CUT_SECTORS,  /* any sectors of them */
    CUT_KINDS
};

extern const char *const image_cut_names[CUT_KINDS];

const void *image_data(const struct entry *entry);

struct log image_read_log(const char *path);

/* The image at `path`, with all of the log's writes before entry `flushed`, to be changed by nobody else. */
struct base {
    int file;
    size_t flushed;
};

/* Brings to `base` what is flushed when entry `last` is written. Only goes on, never back. */
void image_flush_before(struct base *base, const struct log *log, size_t last);

/* Makes the file `crashed` what a power cut after entry `last` leaves. `random` says which writes are there. */
void image_make(int crashed, struct base *base, const struct log *log, size_t last, enum cut cut, uint64_t random);

#endif
