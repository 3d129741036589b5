/* Decides which file a heap is in and who may open it: see <filz/mmap.h>, "WHERE THE FILE GOES". Maps nothing. */
#ifndef FZ_LOCATION_H
#define FZ_LOCATION_H

#include "os.h"

#define FZ_PATH_MAX 2000

/* What happens to the file at the end. */
enum fz_disposition {
    FZ_UNNAMED,    /* it is gone with its descriptor */
    FZ_NAMED,      /* it stays for any process to inspect; the next run overwrites it */
    FZ_PERSISTENT, /* it stays, and the next run continues it */
};

/* What a program does with the file, and which others may have it open then. */
enum fz_access {
    FZ_WRITE,        /* none */
    FZ_WRITE_SHARED, /* readers */
    FZ_READ,         /* all but FZ_WRITE */
    FZ_COPY,         /* those that don't write to it */
};

struct fz_location {
    enum fz_disposition disposition;
    enum fz_access access;
    bool is_optional; /* in a `memory/` that was only found: any failure leads to an unnamed file elsewhere */
    bool is_new;      /* this open made the file */
    bool is_private;  /* mode 0600 when it was opened */
    bool is_shared;   /* its header then said that FZ_WRITE_SHARED has it, or had it last */
    bool is_alone;    /* FZ_WRITE_SHARED: until fz_location_let_in, no other program can open it */
    uint64_t size;    /* of the file then */
    /* Absolute, if it has a name; for an unnamed file, its directory. After a failure, what was tried. */
    char path[FZ_PATH_MAX + 1];
};

/* Opens and locks the file for a program that asks for `path`, or NULL. Doesn't change it yet. Returns 0, an errno
 * value or a FILZ_E constant; then `file` is closed, and what was made is removed. */
int fz_location_open(struct fz_location *location, struct fz_file *file, const char *path);

/* The same for a persistent heap. FZ_READ and FZ_COPY make no file. */
int fz_location_open_persistent(struct fz_location *location, struct fz_file *file, const char *path,
                                enum fz_access access);

/* FZ_WRITE_SHARED has found the heap valid, and will keep it so. fz_location_is_written tells others. */
int fz_location_begin_writing(const struct fz_location *location, struct fz_file *file);
bool fz_location_is_written(const struct fz_location *location, const struct fz_file *file);

/* For FZ_WRITE_SHARED: locks others out, or returns EBUSY while any has the file open; and lets them read again. Any
 * other access has nobody to lock out. */
int fz_location_lock_out(struct fz_location *location, struct fz_file *file);
void fz_location_let_in(struct fz_location *location, const struct fz_file *file);

/* Opens and locks an unnamed file beside `path`, or, if that is empty, by rule 3. */
int fz_location_open_unnamed(struct fz_location *location, struct fz_file *file, const char *path);

/* Makes the file private, and zero except for the magic. `size` is then how many bytes of it have disk space. */
int fz_location_claim(struct fz_location *location, const struct fz_file *file);

/* Opens the file at its path again, if it still is this one. */
int fz_location_reopen(const struct fz_location *location, struct fz_file *file);

/* Renames the file to `path`, lets readers in, and brings the name to the disk. It may replace a heap that no writer
 * has open; readers of that go on. */
int fz_location_publish(const struct fz_location *location, const struct fz_file *file, const char *path);

/* Closes a file in which no heap was initialized. Removes one that this open made, or emptied in a `memory/` that was
 * only found. One that was empty is empty again. */
void fz_location_abandon(const struct fz_location *location, struct fz_file *file, bool emptied);

#endif
