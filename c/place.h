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
    bool private;                 /* mode 0600 */
    uint64_t size;                /* when it was opened */
    char path[FILZ_PATH_MAX + 1]; /* absolute, or empty; after a failure, what was tried */
};

/* Opens and locks the heap file for a program that asks for `path`, or NULL, and makes it empty but for the magic. With
 * `reopen`, it isn't changed yet, and may be a kept heap. Returns 0 or an errno value. */
int filz_place_open(struct filz_place *place, const char *path, bool reopen);

/* What `reopen` left to do: makes the file private and, unless the heap in it is to go on, empty but for the magic.
 * Returns 0 or an errno value. */
int filz_place_take(struct filz_place *place, bool go_on);

/* Removes the file, if that is to be. */
void filz_place_remove(const struct filz_place *place);

/* Opens a file without a name in the folder of `path`, or where rule 3 says. */
int filz_place_open_nameless(struct filz_file *file, const char *path);

/* Opens the file at `path` again, if it still is `file`. */
int filz_place_open_again(struct filz_file *file, const char *path);

#endif
