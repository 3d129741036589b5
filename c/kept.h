/* Heaps that outlive the program: whether the one in a file can go on. */
#ifndef FILZ_KEPT_H
#define FILZ_KEPT_H

#include "place.h"

/* Reads the header of the heap in the file that `place` has open, and checks that it, and the heap's last chunk, are
 * what a heap with this tag has. In `found`, the cursor is 0 if no heap was ever begun there; `last` is the last chunk
 * for certain. Returns 0 or an errno value, see <filz/mmap.h>. Changes nothing. */
int filz_kept_check(const struct filz_place *place, uint64_t tag, struct filz_header *found);

#endif
