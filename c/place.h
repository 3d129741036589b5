/* Where a heap's file goes, and who gets in: the rules of <filz/mmap.h>, "WHERE THE FILE GOES". Opens files; maps
 * nothing. */
#ifndef FILZ_PLACE_H
#define FILZ_PLACE_H

#include "file.h"

#define FILZ_PATH_MAX 2000

enum filz_fate { FILZ_NAMELESS, FILZ_KEPT, FILZ_REMOVED_AT_EXIT };

struct filz_place {
    struct filz_file file;
    enum filz_fate fate;
    char path[FILZ_PATH_MAX + 1]; /* absolute, or empty; after a failure, what was tried */
};

/* Opens the heap file for a program that asks for `path`, or NULL. Returns 0 or an errno value. */
int filz_place_open(struct filz_place *place, const char *path);

/* Opens a file without a name in the folder of `path`, or where rule 3 says. */
int filz_place_open_nameless(struct filz_file *file, const char *path);

/* Opens the file at `path` again, if it still is `file`. */
int filz_place_open_again(struct filz_file *file, const char *path);

#endif
