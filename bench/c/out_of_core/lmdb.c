/* LMDB, its keys the records' numbers. FLAGS are those of mdb_env_open. */
#include "../lmdb_environment.h"
#include "out_of_core.h"

#include <string.h>

#define RECORDS_A_TRANSACTION 16384

static MDB_dbi records;
static MDB_txn *adding;
static uint64_t added;
static __thread MDB_txn *reading;

const bool peer_has_threads = true;

static void open_records(unsigned flags)
{
    open_environment("out-of-core.mdb", MDB_NOSYNC | FLAGS | flags);
}

static MDB_txn *begin(unsigned flags)
{
    MDB_txn *transaction;
    check(mdb_txn_begin(environment, NULL, flags, &transaction));
    check(mdb_dbi_open(transaction, NULL, MDB_INTEGERKEY | ((flags & MDB_RDONLY) == 0 ? MDB_CREATE : 0), &records));
    return transaction;
}

void peer_prepare(uint64_t count)
{
    (void)count;
}

void peer_begin(void)
{
    open_records(0);
}

void peer_open(void)
{
    open_records(MDB_RDONLY);
}

void peer_end_adding(void)
{
    if (adding != NULL)
        check(mdb_txn_commit(adding));
    adding = NULL;
}

bool peer_keep(void)
{
    check(mdb_env_sync(environment, 1));
    return true;
}

void peer_add(uint64_t number)
{
    struct record record;
    if (adding == NULL)
        adding = begin(0);
    memset(&record, 1, sizeof(record));
    record.number = number;
    MDB_val key = {sizeof(number), &number}, value = {sizeof(record), &record};
    check(mdb_put(adding, records, &key, &value, MDB_APPEND));
    if (++added % RECORDS_A_TRANSACTION == 0)
        peer_end_adding();
}

static const struct record *find(MDB_txn *transaction, uint64_t number)
{
    MDB_val key = {sizeof(number), &number}, value;
    check(mdb_get(transaction, records, &key, &value));
    return value.mv_data;
}

uint64_t peer_read(uint64_t number)
{
    if (reading == NULL)
        reading = begin(MDB_RDONLY);
    return find(reading, number)->number;
}

/* A transaction each, as for 8 bytes in a file. */
void peer_write(uint64_t number, uint64_t word)
{
    if (reading != NULL)
        mdb_txn_abort(reading);
    reading = NULL;
    MDB_txn *writing = begin(0);
    struct record record = *find(writing, number);
    record.rest[0] = word;
    MDB_val key = {sizeof(number), &number}, value = {sizeof(record), &record};
    check(mdb_put(writing, records, &key, &value, 0));
    check(mdb_txn_commit(writing));
}

uint64_t peer_walk(void)
{
    uint64_t sum = 0;
    MDB_cursor *cursor;
    MDB_val key, value;
    if (reading == NULL)
        reading = begin(MDB_RDONLY);
    check(mdb_cursor_open(reading, records, &cursor));
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0)
        sum += ((const struct record *)value.mv_data)->number;
    mdb_cursor_close(cursor);
    return sum;
}
