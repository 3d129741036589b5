/* Prints what a heap file is, and how full it is, as text or JSON. It may not store anything for each chunk or page. */
#include "commands.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Totals of the heap, in bytes unless they are counts. */
struct stock {
    uint64_t chunks, dedicated_chunks;
    uint64_t blocks;
    uint64_t used, in_chunks; /* both with the header */
    uint64_t pages, used_pages, tail_pages;
    uint64_t in_ram;
    bool damaged, unsettled;
    struct problem problem;
};

/* --- counting --- */

static void count_chunk(const struct reader *reader, const struct chunk *chunk, struct stock *stock)
{
    uint64_t page = reader->header.page_size;
    uint64_t used_pages = (chunk->used_end - chunk->start + page - 1) / page;
    stock->in_chunks = chunk->end;
    stock->chunks++;
    stock->dedicated_chunks += chunk->dedicated;
    stock->blocks += chunk->blocks;
    stock->used += chunk->used_end - chunk->start;
    stock->used_pages += used_pages;
    stock->tail_pages += (chunk->end - chunk->start) / page - used_pages;
    stock->unsettled |= chunk->unsettled;
}

static void count_chunks(const struct reader *reader, struct stock *stock)
{
    const uint64_t page = reader->header.page_size;
    struct chunk chunk = {.end = 0};
    int found;
    *stock = (struct stock){.pages = (uint64_t)reader->status.st_size / page};
    if (reader->header.cursor != 0)
        stock->used = stock->in_chunks = page, stock->used_pages = 1;
    while ((found = reader_next_chunk(reader, &chunk, &stock->problem)) == 1)
        count_chunk(reader, &chunk, stock);
    stock->damaged = found < 0 || reader_is_damaged(reader, &stock->problem);
}

static uint64_t count_in_ram(const struct reader *reader, uint64_t start, uint64_t end)
{
    static unsigned char in_ram[1 << 16];
    uint64_t page = reader->header.page_size, found = 0;
    for (uint64_t first = start / page, last = (end - 1) / page + 1; first < last;) {
        size_t count = last - first < sizeof(in_ram) ? (size_t)(last - first) : sizeof(in_ram);
        reader_pages_in_ram(reader, first, count, in_ram);
        for (size_t i = 0; i < count; i++)
            found += in_ram[i];
        first += count;
    }
    return found * page;
}

/* Skips holes, which aren't in RAM either, and may be very large; see SEEK_DATA in lseek(2). */
static uint64_t bytes_in_ram(const struct reader *reader)
{
    uint64_t found = 0;
    off_t start = 0, end, size = reader->status.st_size;
    while (start < size && (start = lseek(reader->fd, start, SEEK_DATA)) >= 0 && start < size) {
        end = lseek(reader->fd, start, SEEK_HOLE);
        if (end <= start)
            break;
        found += count_in_ram(reader, (uint64_t)start, (uint64_t)(end < size ? end : size));
        start = end;
    }
    return found;
}

static void take_stock(struct reader *reader, struct stock *stock)
{
    int tries = 0;
    do
        count_chunks(reader, stock);
    while (reader_must_repeat(reader, stock->damaged, stock->unsettled, &tries));
    stock->in_ram = bytes_in_ram(reader);
}

/* --- for people --- */

static const char *state_text(const struct reader *reader)
{
    if (reader->use == FILE_IN_USE)
        return "in use";
    if (reader->header.clean)
        return "closed in order";
    return reader_is_at_rest(reader) ? "not closed in order, as after a kill or a crash"
                                     : "unknown: in use, or not closed in order; its lock can't be seen from here";
}

static void print_pids(FILE *out, const struct file_users *users)
{
    enum { SHOWN = 5 };
    uint64_t all = users->readers + users->private_copies;
    size_t shown = users->pids_known < SHOWN ? users->pids_known : SHOWN;
    for (size_t i = 0; i < shown; i++)
        fprintf(out, "%s%d", i != 0 ? ", " : all == 1 ? " (process " : " (processes ", (int)users->pids[i]);
    if (shown != 0)
        fprintf(out, "%s)", shown < all ? ", ..." : "");
}

static void print_users(FILE *out, const struct reader *reader)
{
    static const char *const writers[] = {"", "a writer", "a writer that lets readers in", "a writer"};
    const struct file_users *users = &reader->lock.users;
    const char *before = users->writer != NO_WRITER ? ", " : "";
    char number[NUMBER_TEXT];
    fprintf(out, "  open by    %s", writers[users->writer]);
    if (users->readers != 0)
        fprintf(out, "%s%s reader%s", before, number_text(number, users->readers), plural(users->readers));
    before = users->writer != NO_WRITER || users->readers != 0 ? ", " : "";
    if (users->private_copies != 0)
        fprintf(out, "%s%s private cop%s", before, number_text(number, users->private_copies),
                users->private_copies == 1 ? "y" : "ies");
    print_pids(out, users);
    if (reader->use == FILE_UNUSED)
        fputs("nobody", out);
    if (reader->use == FILE_UNKNOWN)
        fputs("unknown", out);
    else if (!users->is_complete)
        fputs(", as far as can be seen from here", out);
    fputc('\n', out);
}

static void print_who(FILE *out, const struct reader *reader)
{
    const struct fz_header *header = &reader->header;
    char program[FZ_PROGRAM_MAX + 1];
    legible(program, sizeof(program), header->program, sizeof(header->program));
    fprintf(out, "  program    %s, process %" PRIu32 "\n", program, header->pid);
    fprintf(out, "  state      %s\n", state_text(reader));
    print_users(out, reader);
    fprintf(out, "  persistent %s\n",
            header->persistent ? "yes: the next run goes on in it" : "no: the next run overwrites it");
    fprintf(out, "  tag        %#" PRIx64 "\n", header->tag);
}

/* The root's offset in a heap that ends at `end`; 0 if it isn't in it. */
static uint64_t root_offset(const struct fz_header *header, uint64_t root, uint64_t end)
{
    return root - header->base < end ? root - header->base : 0;
}

static void print_root(FILE *out, const struct fz_header *header, uint64_t root, uint64_t end)
{
    char number[NUMBER_TEXT];
    uint64_t offset = root_offset(header, root, end);
    if (root == 0)
        fprintf(out, "none\n");
    else if (offset != 0)
        fprintf(out, "%#" PRIx64 ", at offset %s\n", root, number_text(number, offset));
    else
        fprintf(out, "%#" PRIx64 ", outside the heap\n", root);
}

static void print_checkpoint(FILE *out, const struct reader *reader)
{
    char sequence[NUMBER_TEXT], cursor[NUMBER_TEXT];
    const struct fz_checkpoint *checkpoint = fz_newest_checkpoint(&reader->header);
    if (checkpoint == NULL) {
        fprintf(out, "  checkpoint none\n");
        return;
    }
    fprintf(out, "  checkpoint number %s, of the first %s bytes%s; root ", number_text(sequence, checkpoint->sequence),
            number_text(cursor, checkpoint->cursor), reader->falls_back ? ", to which an open would fall back" : "");
    print_root(out, &reader->header, checkpoint->root, checkpoint->cursor);
}

static void print_where(FILE *out, const struct reader *reader)
{
    const struct fz_header *header = &reader->header;
    fprintf(out, "  root       ");
    print_root(out, header, header->root, header->cursor);
    print_checkpoint(out, reader);
    fprintf(out, "  mapped at  %#" PRIx64 "\n", header->base);
}

static void print_size(FILE *out, const char *label, uint64_t size, uint64_t whole, const char *of_what)
{
    char text[NUMBER_TEXT], number[NUMBER_TEXT];
    fprintf(out, "  %-10s %10s %22s bytes", label, size_text(text, size), number_text(number, size));
    if (whole != 0)
        fprintf(out, "   %5.1f %% of %s", 100 * (double)size / (double)whole, of_what);
    fputc('\n', out);
}

static void print_sizes(FILE *out, const struct reader *reader, const struct stock *stock)
{
    uint64_t size = (uint64_t)reader->status.st_size;
    print_size(out, "capacity", reader->header.capacity, 0, NULL);
    print_size(out, "file", size, reader->header.capacity, "the capacity");
    print_size(out, "in chunks", stock->in_chunks, size, "the file");
    print_size(out, "used", stock->used, stock->in_chunks, "the chunks");
    print_size(out, "on disk", reader_bytes_on_disk(reader), size, "the file");
    print_size(out, "in RAM", stock->in_ram, size, "the file");
}

static void print_count(FILE *out, const char *label, uint64_t count, const char *note)
{
    char number[NUMBER_TEXT];
    fprintf(out, "  %-10s %10s%s\n", label, number_text(number, count), note);
}

static void print_pages(FILE *out, const struct reader *reader, const struct stock *stock)
{
    char size[NUMBER_TEXT], note[64];
    snprintf(note, sizeof(note), " of %s bytes", number_text(size, reader->header.page_size));
    print_count(out, "pages", stock->pages, note);
    print_count(out, "  used", stock->used_pages, "");
    print_count(out, "  tails", stock->tail_pages, " of chunks, not allocated");
    print_count(out, "  free", stock->pages - stock->used_pages - stock->tail_pages, "");
}

static void print_counts(FILE *out, const struct reader *reader, const struct stock *stock)
{
    char dedicated[NUMBER_TEXT], note[64];
    snprintf(note, sizeof(note), ", %s dedicated to one large block each",
             number_text(dedicated, stock->dedicated_chunks));
    print_count(out, "blocks", stock->blocks, "");
    print_count(out, "chunks", stock->chunks, stock->dedicated_chunks != 0 ? note : "");
    print_count(out, "threads", reader->header.threads, "");
    print_pages(out, reader, stock);
}

static void print_text(FILE *out, const struct reader *reader, const struct stock *stock)
{
    char path[4096];
    fprintf(out, "%s: heap of filz, format %d\n\n", legible(path, sizeof(path), reader->path, sizeof(path)), FZ_FORMAT);
    if (reader->header.cursor == 0) {
        fprintf(out, "  The heap is empty: its program %s.\n",
                reader->use == FILE_IN_USE  ? "hasn't initialized it yet"
                : reader_is_at_rest(reader) ? "ended before it initialized it"
                                            : "hasn't initialized it yet, or ended before");
        return;
    }
    print_who(out, reader);
    print_where(out, reader);
    fputc('\n', out);
    print_sizes(out, reader, stock);
    fputc('\n', out);
    print_counts(out, reader, stock);
}

/* --- as JSON --- */

/* cJSON's own numbers are doubles. */
static void add_number(cJSON *object, const char *name, uint64_t number)
{
    char text[NUMBER_TEXT];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    cJSON_AddRawToObject(object, name, text);
}

/* As a string, because an address may have more digits than a reader of JSON. */
static void add_hexadecimal(cJSON *object, const char *name, uint64_t number)
{
    char text[NUMBER_TEXT];
    snprintf(text, sizeof(text), "0x%" PRIx64, number);
    cJSON_AddStringToObject(object, name, text);
}

/* JSON is in UTF-8, whatever the locale. */
static void add_name(cJSON *object, const char *name, const char *value, size_t length)
{
    char text[4096];
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = uselocale(utf8);
    cJSON_AddStringToObject(object, name, legible(text, sizeof(text), value, length));
    uselocale(before);
    if (utf8 != (locale_t)0)
        freelocale(utf8);
}

static void add_root(cJSON *object, const struct fz_header *header, uint64_t address, uint64_t end)
{
    uint64_t offset = root_offset(header, address, end);
    if (address == 0) {
        cJSON_AddNullToObject(object, "root");
        return;
    }
    cJSON *root = cJSON_AddObjectToObject(object, "root");
    add_hexadecimal(root, "address", address);
    if (offset != 0)
        add_number(root, "offset", offset);
    else
        cJSON_AddNullToObject(root, "offset");
}

static void add_checkpoint(cJSON *object, const struct fz_header *header)
{
    const struct fz_checkpoint *newest = fz_newest_checkpoint(header);
    if (newest == NULL) {
        cJSON_AddNullToObject(object, "checkpoint");
        return;
    }
    cJSON *checkpoint = cJSON_AddObjectToObject(object, "checkpoint");
    add_number(checkpoint, "sequence", newest->sequence);
    add_number(checkpoint, "cursor", newest->cursor);
    add_root(checkpoint, header, newest->root, newest->cursor);
}

static void add_users(cJSON *object, const struct file_users *users)
{
    static const char *const writers[] = {"none", "exclusive", "shared", "unknown"};
    cJSON *open_by = cJSON_AddObjectToObject(object, "open_by");
    cJSON_AddStringToObject(open_by, "writer", writers[users->writer]);
    add_number(open_by, "readers", users->readers);
    add_number(open_by, "private_copies", users->private_copies);
    cJSON *pids = cJSON_AddArrayToObject(open_by, "pids");
    for (size_t i = 0; i < users->pids_known; i++)
        cJSON_AddItemToArray(pids, cJSON_CreateNumber(users->pids[i]));
    cJSON_AddBoolToObject(open_by, "complete", users->is_complete);
}

static void add_use(cJSON *object, const struct reader *reader)
{
    if (reader->use == FILE_UNKNOWN) {
        cJSON_AddNullToObject(object, "in_use");
        cJSON_AddNullToObject(object, "open_by");
        return;
    }
    cJSON_AddBoolToObject(object, "in_use", reader->use != FILE_UNUSED);
    add_users(object, &reader->lock.users);
}

static void add_what_it_is(cJSON *object, const struct reader *reader)
{
    const struct fz_header *header = &reader->header;
    add_name(object, "path", reader->path, SIZE_MAX);
    add_number(object, "format", FZ_FORMAT);
    cJSON_AddBoolToObject(object, "initialized", header->cursor != 0);
    add_use(object, reader);
    cJSON_AddBoolToObject(object, "clean", header->clean != 0);
    cJSON_AddBoolToObject(object, "persistent", header->persistent != 0);
    add_name(object, "program", header->program, sizeof(header->program));
    add_number(object, "pid", header->pid);
    add_hexadecimal(object, "tag", header->tag);
    add_root(object, header, header->root, header->cursor);
    add_checkpoint(object, header);
    cJSON_AddBoolToObject(object, "falls_back", reader->falls_back);
    add_hexadecimal(object, "base", header->base);
    add_number(object, "word_size", sizeof(size_t));
    add_number(object, "page_size", header->page_size);
}

static void add_how_full(cJSON *object, const struct reader *reader, const struct stock *stock)
{
    add_number(object, "capacity", reader->header.capacity);
    add_number(object, "committed", (uint64_t)reader->status.st_size);
    add_number(object, "in_chunks", stock->in_chunks);
    add_number(object, "used", stock->used);
    add_number(object, "on_disk", reader_bytes_on_disk(reader));
    add_number(object, "in_ram", stock->in_ram);
    add_number(object, "blocks", stock->blocks);
    add_number(object, "chunks", stock->chunks);
    add_number(object, "dedicated_chunks", stock->dedicated_chunks);
    add_number(object, "threads", reader->header.threads);
    cJSON *pages = cJSON_AddObjectToObject(object, "pages");
    add_number(pages, "total", stock->pages);
    add_number(pages, "used", stock->used_pages);
    add_number(pages, "tail", stock->tail_pages);
    add_number(pages, "free", stock->pages - stock->used_pages - stock->tail_pages);
}

static void add_damage(cJSON *object, const struct stock *stock)
{
    if (!stock->damaged) {
        cJSON_AddNullToObject(object, "damage");
        return;
    }
    cJSON *damage = cJSON_AddObjectToObject(object, "damage");
    add_number(damage, "offset", stock->problem.offset);
    cJSON_AddStringToObject(damage, "what", stock->problem.what);
}

static void print_json(FILE *out, const struct reader *reader, const struct stock *stock)
{
    cJSON *object = cJSON_CreateObject();
    add_what_it_is(object, reader);
    add_how_full(object, reader, stock);
    add_damage(object, stock);
    char *text = cJSON_Print(object);
    if (text != NULL)
        fprintf(out, "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(object);
}

/* --- the command --- */

int inspect(FILE *out, const char *path, bool json)
{
    struct reader reader;
    struct stock stock;
    if (!reader_open(&reader, path, &stock.problem)) {
        report(path, &stock.problem);
        return FAILED;
    }
    take_stock(&reader, &stock);
    (json ? print_json : print_text)(out, &reader, &stock);
    if (stock.damaged)
        report(path, &stock.problem);
    reader_close(&reader);
    return stock.damaged ? FAILED : DONE;
}

static const char help[] = "Usage: filz inspect [--json] FILE\n"
                           "Prints what a heap file is, whose, and how full it is. Its program may be running.\n"
                           "\n"
                           "  --json  prints JSON, which the man page describes\n"
                           "  --help  prints this\n"
                           "\n"
                           "Exit status: 0; 1 if FILE can't be read, isn't a heap, or is damaged.\n";

int command_inspect(int argc, char **argv)
{
    static const struct option longs[] = {{"json", no_argument, NULL, 'j'}, OPTION_HELP, {0}};
    static const struct usage usage = {help, "h", longs};
    bool json = false;
    while (next_option(argc, argv, &usage) != -1)
        json = true;
    return inspect(stdout, only_file(argc, argv), json);
}
