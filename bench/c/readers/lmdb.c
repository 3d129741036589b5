/* LMDB: its B+ tree. FLAGS are those of mdb_env_open for a reader, besides MDB_RDONLY. */
#include "../lmdb_environment.h"
#include "readers.h"

#include <stddef.h>

#define PAIRS_A_TRANSACTION 65536

static MDB_txn *transaction;
static MDB_dbi pairs;

static void begin(unsigned flags)
{
    check(mdb_txn_begin(environment, NULL, flags, &transaction));
    check(mdb_dbi_open(transaction, NULL, 0, &pairs));
}

void peer_make(uint64_t count)
{
    open_environment("readers.mdb", MDB_NOSYNC);
    for (uint64_t n = 0; n < count; n++) {
        if (n % PAIRS_A_TRANSACTION == 0)
            begin(0);
        struct pair pair = pair_of(n);
        MDB_val key = {KEY_SIZE, pair.key}, value = {VALUE_SIZE, pair.value};
        check(mdb_put(transaction, pairs, &key, &value, MDB_APPEND));
        if ((n + 1) % PAIRS_A_TRANSACTION == 0 || n + 1 == count)
            check(mdb_txn_commit(transaction));
    }
    check(mdb_env_sync(environment, 1));
    mdb_env_close(environment);
}

void peer_open(void)
{
    open_environment("readers.mdb", MDB_RDONLY | FLAGS);
    begin(MDB_RDONLY);
}

void peer_close(void)
{
    mdb_txn_abort(transaction);
    mdb_env_close(environment);
}

const char *peer_find(const char *key)
{
    MDB_val searched = {KEY_SIZE, (char *)(uintptr_t)key}, value;
    int error = mdb_get(transaction, pairs, &searched, &value);
    if (error == MDB_NOTFOUND)
        return NULL;
    check(error);
    return value.mv_data;
}
