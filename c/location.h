/* Which file a heap is in, and which programs may open it: the rules of <filz/mmap.h>, "WHERE THE FILE GOES". Maps
 * nothing. */
#ifndef FZ_LOCATION_H
#define FZ_LOCATION_H

#include "os.h"

#define FZ_PATH_MAX 2000

/* What becomes of the file in the end. */
enum fz_disposition {
    FZ_UNNAMED,    /* it is gone with its descriptor */
    FZ_NAMED,      /* it stays, for any process to look at; the next run overwrites it */
    FZ_PERSISTENT, /* it stays, and the next run goes on in it */
};

struct fz_location {
    enum fz_disposition disposition;
    bool is_optional; /* in a `memory/` that was only found: any failure leads to an unnamed file elsewhere */
    bool is_new;      /* this open made the file */
    bool is_to_read;  /* nothing in the file may change */
    bool is_private;  /* mode 0600 when it was opened */
    uint64_t size;    /* of the file then */
    /* Absolute, if it has a name; of an unnamed file, what leads to its directory. After a failure, what was tried. */
    char path[FZ_PATH_MAX + 1];
};

/* Opens and locks the file for a program that asks for `path`, or NULL. It isn't changed yet. Returns 0, an errno value
 * or a FILZ_E constant; then `file` is closed, and what was made is removed. */
int fz_location_open(struct fz_location *location, struct fz_file *file, const char *path, bool persistent);

/* The same for a persistent heap that is there, and of which nothing is to be changed. */
int fz_location_open_to_read(struct fz_location *location, struct fz_file *file, const char *path);

/* Opens and locks an unnamed file beside `path`, if that isn't empty, or where rule 3 says. */
int fz_location_open_unnamed(struct fz_location *location, struct fz_file *file, const char *path);

/* Makes the file private, and empty but for the magic: `size` is then how many bytes of it have disk space, all zero
 * but the magic. */
int fz_location_claim(struct fz_location *location, const struct fz_file *file);

/* Opens the file at the same path again, if it still is this one. */
int fz_location_reopen(const struct fz_location *location, struct fz_file *file);

/* Gives the file the name `path` instead of its own, lets readers in, and brings the name to the disk. What is there
 * may be a heap of filz's that no writer has open: who reads it goes on. */
int fz_location_publish(const struct fz_location *location, const struct fz_file *file, const char *path);

/* Closes a file in which no heap was initialized. One that this open made is removed, and so is one that it has emptied
 * in a `memory/` that was only found; one that was empty is so again. */
void fz_location_abandon(const struct fz_location *location, struct fz_file *file, bool emptied);

#endif
