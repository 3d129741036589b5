/* One file of keys and values that many processes read at the same time. A peer has the functions that begin with
 * `peer_`; its file is in the working directory. */
#ifndef READERS_H
#define READERS_H

#include "../program.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KEY_SIZE 16
#define VALUE_SIZE 112

struct pair {
    char key[KEY_SIZE];
    char value[VALUE_SIZE];
};

/* The n-th pair. The keys are sorted. */
struct pair pair_of(uint64_t n);

/* Writes the file, with the pairs up to `count`. */
void peer_make(uint64_t count);

void peer_open(void);
void peer_close(void);

/* The value; NULL if there is none. */
const char *peer_find(const char *key);

#ifdef __cplusplus
}
#endif

#endif
