/* SQLite with its defaults, but for the log of a transaction: nothing here is to survive a power cut. */
#include "out_of_core.h"

#include <sqlite3.h>
#include <string.h>

static sqlite3 *database;
static sqlite3_stmt *adding, *reading, *writing, *walking;

const bool peer_has_threads = false;

static void check(int error)
{
    if (error != SQLITE_OK && error != SQLITE_DONE && error != SQLITE_ROW)
        fail(sqlite3_errmsg(database));
}

static void run(const char *text)
{
    check(sqlite3_exec(database, text, NULL, NULL, NULL));
}

static sqlite3_stmt *prepared(const char *text)
{
    sqlite3_stmt *statement;
    check(sqlite3_prepare_v3(database, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL));
    return statement;
}

static void prepare_to_read(void)
{
    reading = prepared("SELECT number FROM records WHERE id = ?");
    walking = prepared("SELECT sum(number) FROM records");
}

void peer_prepare(uint64_t count)
{
    (void)count;
}

void peer_begin(void)
{
    check(sqlite3_open("out-of-core.sqlite", &database));
    run("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;"
        "CREATE TABLE records (id INTEGER PRIMARY KEY, number INTEGER, word INTEGER, rest BLOB); BEGIN");
    adding = prepared("INSERT INTO records VALUES (?, ?, 0, ?)");
    writing = prepared("UPDATE records SET word = ? WHERE id = ?");
    prepare_to_read();
}

void peer_open(void)
{
    check(sqlite3_open_v2("out-of-core.sqlite", &database, SQLITE_OPEN_READONLY, NULL));
    prepare_to_read();
}

static uint64_t step(sqlite3_stmt *statement)
{
    check(sqlite3_step(statement));
    uint64_t number = sqlite3_column_count(statement) > 0 ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    check(sqlite3_reset(statement));
    return number;
}

void peer_add(uint64_t number)
{
    struct record record;
    memset(&record, 1, sizeof(record));
    check(sqlite3_bind_int64(adding, 1, (sqlite3_int64)number));
    check(sqlite3_bind_int64(adding, 2, (sqlite3_int64)number));
    check(sqlite3_bind_blob(adding, 3, record.rest, sizeof(record.rest) - 8, SQLITE_TRANSIENT));
    step(adding);
}

void peer_end_adding(void)
{
    run("COMMIT");
}

bool peer_keep(void)
{
    return true;
}

uint64_t peer_read(uint64_t number)
{
    check(sqlite3_bind_int64(reading, 1, (sqlite3_int64)number));
    return step(reading);
}

void peer_write(uint64_t number, uint64_t word)
{
    check(sqlite3_bind_int64(writing, 1, (sqlite3_int64)word));
    check(sqlite3_bind_int64(writing, 2, (sqlite3_int64)number));
    step(writing);
}

uint64_t peer_walk(void)
{
    return step(walking);
}
