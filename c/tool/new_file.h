/* A file that gets its name when it is complete, in one step, and replaces none. Until then a program that ends, also
 * by a signal, leaves nothing of it. */
#ifndef FILZ_TOOL_NEW_FILE_H
#define FILZ_TOOL_NEW_FILE_H

#include "reader.h"

#include <stdbool.h>
#include <sys/stat.h>

struct new_file {
    int fd;
    int directory;
    const char *name;   /* in the directory, to be */
    char temporary[32]; /* the name until then; "" if there is none */
};

/* One at a time. If anything fails, these say why in `problem`, return false, and leave no file with either name. */
bool new_file_open(struct new_file *file, const char *path, struct problem *problem);

/* Brings the file to the disk, gives it mode and name, and brings these to the disk. */
bool new_file_publish(struct new_file *file, mode_t mode, struct problem *problem);

/* A file that wasn't published is gone. */
void new_file_close(struct new_file *file);

#endif
