/* The tool's subcommands, and what they share: options, messages, and the formatting of numbers and names. */
#ifndef FILZ_TOOL_COMMANDS_H
#define FILZ_TOOL_COMMANDS_H

#include "reader.h"

#include <getopt.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses; `run` ends with its program's. */
enum { DONE = 0, FAILED = 1, WRONG_USE = 2, CANNOT_RUN = 126, NOT_FOUND = 127 };

/* Each gets its name and arguments like a main function, and returns the exit status. */
int command_check(int argc, char **argv);
int command_inspect(int argc, char **argv);
int command_map(int argc, char **argv);
int command_run(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_watch(int argc, char **argv);

/* What `inspect` and `check` do, without their options: for `run`, and for the fuzzer. */
int inspect(FILE *out, const char *path, bool json);
int check_file(const char *path);

/* Check a heap that is open to read, and print only problems; or print nothing, and set `problem` to the first. Return
 * whether it is undamaged. */
bool check_heap(struct reader *reader);
bool check_quietly(struct reader *reader, struct problem *problem);

/* --- options (options.c) --- */

/* What a subcommand takes: `help` is printed by --help; `shorts` and `longs` are for getopt_long(3). */
struct usage {
    const char *help;
    const char *shorts;         /* "h", with further ones; "+h" if a program's arguments follow */
    const struct option *longs; /* OPTION_HELP among them, and an entry of zeros at the end */
};

/* clang-format off */
#define OPTION_HELP {"help", no_argument, NULL, 'h'}
/* clang-format on */

/* The next option, as getopt_long returns it; -1 after the last. Exits after --help, or on wrong use. */
int next_option(int argc, char **argv, const struct usage *usage);

/* The one argument after the options, a file. Exits if there is none, or more. */
const char *only_file(int argc, char **argv);

/* The same for two, at argv[optind]. */
void need_file_and_copy(int argc, char **argv);

/* Prints how argv[0] was called wrongly, and exits. */
_Noreturn void wrong_use(char **argv, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- text (text.c) --- */

/* Prints on standard error `filz: FILE: problem`, with the offset if there is one. */
void report(const char *path, const struct problem *problem);

/* Set the problem, and its offset: in the tool's words; in those of filz_error_text, for an errno value or a FILZ_E
 * constant; in those of format.c, with the values of some fields of the header. Return false. */
bool problem_at(struct problem *problem, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool problem_of_error(struct problem *problem, int error);
bool problem_of(struct problem *problem, const struct fz_problem *found, const struct fz_header *header);

/* The exit status: FAILED, with a message, if standard output couldn't be written. */
int after_output(int status);

enum { NUMBER_TEXT = 32 };

/* The number as "1,234,567"; the size as "1.2 MiB". Both return `text`. */
const char *number_text(char text[NUMBER_TEXT], uint64_t number);
const char *size_text(char text[NUMBER_TEXT], uint64_t bytes);

/* The ending of a noun after this number: "" or "s". */
const char *plural(uint64_t number);

/* Makes a name of any bytes, at most `length`, printable: other than printable characters of this locale become '?'.
 * Returns `text`, which is always terminated. */
const char *legible(char *text, size_t size, const char *name, size_t length);

#endif
