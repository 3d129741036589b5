/* Data larger than memory: records of one size, written in order and then used in several ways. A peer has the
 * functions that begin with `peer_`; blocks.c has those of allocators, made of the three that begin with `allocator_`.
 * Files are in the working directory. */
#ifndef OUT_OF_CORE_H
#define OUT_OF_CORE_H

#include "../program.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct record {
    uint64_t number;
    uint64_t rest[31];
};

enum pattern { AT_RANDOM, IN_ORDER };

/* What can't be known before: how many records there will be. Nothing here counts as work, or for the limit. */
void peer_prepare(uint64_t count);

/* Begins anew; or opens what `peer_keep` has left, to read. */
void peer_begin(void);
void peer_open(void);

/* Brings everything to the disk, for `peer_open`. False: this peer has nothing that stays. */
bool peer_keep(void);

/* Adds record `number`, the one after the last. */
void peer_add(uint64_t number);
void peer_end_adding(void);

/* The record's number, as it is stored; any thread may ask for it, if `peer_has_threads`. */
uint64_t peer_read(uint64_t number);
extern const bool peer_has_threads;

/* Stores to 8 bytes of it. */
void peer_write(uint64_t number, uint64_t word);

/* The sum of all numbers, read in order. */
uint64_t peer_walk(void);

/* The same of the records that `count` slots of a hash table lead to, from `first` on. False: it has no such table, as
 * where a peer doesn't define this. */
bool peer_walk_slots(uint64_t first, uint64_t count, uint64_t *sum);

/* The program knows what it is about to do, and says so. False: there is no way to, as where a peer
 * doesn't define this. */
bool peer_advise(enum pattern pattern);

/* An allocator: a new block; the first address of what was kept; what it is to be. */
void *allocator_allocate(size_t size);
void *allocator_open(void);
bool allocator_keep(void *first);
void allocator_begin(void);

#ifdef __cplusplus
}
#endif

#endif
