/* A file that gets its name in one step when it is complete, and replaces none. If the program ends before, even by a
 * signal, nothing of it is left. */
#ifndef FILZ_TOOL_NEW_FILE_H
#define FILZ_TOOL_NEW_FILE_H

#include "reader.h"

#include <stdbool.h>
#include <sys/stat.h>

struct new_file {
    int fd;
    int directory;
    const char *name;   /* in the directory, later */
    char temporary[32]; /* the name until then; "" if there is none */
};

/* One at a time. If anything fails, these say why in `problem`, return false, and leave no file with either name. */
bool new_file_open(struct new_file *file, const char *path, struct problem *problem);

/* Brings the file to the disk, gives it mode and name, and brings these to the disk. */
bool new_file_publish(struct new_file *file, mode_t mode, struct problem *problem);

/* A file that wasn't published is gone. */
void new_file_close(struct new_file *file);

#endif
