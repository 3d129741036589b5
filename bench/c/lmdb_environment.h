/* LMDB's environment: one for a program. */
#ifndef BENCH_LMDB_ENVIRONMENT_H
#define BENCH_LMDB_ENVIRONMENT_H

#include "program.h"

#include <lmdb.h>

#define LARGEST ((size_t)64 << 30) /* of address space; the file is as large as its pages in use */

static MDB_env *environment;

static void check(int error)
{
    if (error != 0)
        fail(mdb_strerror(error));
}

static void open_environment(const char *path, unsigned flags)
{
    check(mdb_env_create(&environment));
    if ((flags & MDB_RDONLY) == 0)
        check(mdb_env_set_mapsize(environment, LARGEST));
    check(mdb_env_open(environment, path, MDB_NOSUBDIR | flags, 0600));
}

#endif
