/* The tool's subcommands, and what they share: options, messages, and how numbers and names are shown. */
#ifndef FILZ_TOOL_COMMANDS_H
#define FILZ_TOOL_COMMANDS_H

#include "reader.h"

#include <getopt.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses; `run` ends with its program's. */
enum { DONE = 0, FAILED = 1, WRONG_USE = 2, CANNOT_RUN = 126, NOT_FOUND = 127 };

/* Each gets its name and arguments as a main function does, and returns the exit status. */
int command_check(int argc, char **argv);
int command_inspect(int argc, char **argv);
int command_map(int argc, char **argv);
int command_run(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_watch(int argc, char **argv);

/* What `inspect` and `check` do, without their options: for `run`, and for the fuzzer. */
int inspect(FILE *out, const char *path, bool json);
int check_file(const char *path);

/* The same for a heap that is open to read, without words for a heap that is undamaged; and without any, of which
 * `problem` has the first. Return whether it is undamaged. */
bool check_heap(struct reader *reader);
bool check_quietly(struct reader *reader, struct problem *problem);

/* --- options (options.c) --- */

/* What a subcommand takes: `help` is printed by --help, `shorts` and `longs` are as getopt_long(3) wants them. */
struct usage {
    const char *help;
    const char *shorts;         /* "h", with further ones; "+h" if a program's arguments follow */
    const struct option *longs; /* OPTION_HELP among them, and an entry of zeros at the end */
};

/* clang-format off */
#define OPTION_HELP {"help", no_argument, NULL, 'h'}
/* clang-format on */

/* The next option, as getopt_long returns it; -1 after the last. For --help, and for wrong use, the program ends here.
 */
int next_option(int argc, char **argv, const struct usage *usage);

/* The one argument after the options, a file; where there is none, or more, the program ends here. */
const char *only_file(int argc, char **argv);

/* The same for two, at argv[optind]. */
void need_file_and_copy(int argc, char **argv);

/* Says what is wrong with how argv[0] was called, and ends the program. */
_Noreturn void wrong_use(char **argv, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- text (text.c) --- */

/* On standard error: `filz: FILE: what is wrong`, with the offset if the problem has one. */
void report(const char *path, const struct problem *problem);

/* Set what is wrong, and where: in words of the tool's; in filz_error_text's, for an errno value or a FILZ_E constant;
 * in format.c's, which say of some fields of the header what they should be, and not what they are. Return false. */
bool problem_at(struct problem *problem, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool problem_of_error(struct problem *problem, int error);
bool problem_of(struct problem *problem, const struct fz_problem *found, const struct fz_header *header);

/* The status to end with, which is FAILED where standard output couldn't be written; says so. */
int after_output(int status);

enum { NUMBER_TEXT = 32 };

/* The number as "1,234,567"; the size as "1.2 MiB". Both return `text`. */
const char *number_text(char text[NUMBER_TEXT], uint64_t number);
const char *size_text(char text[NUMBER_TEXT], uint64_t bytes);

/* What a noun ends with after this number: "" or "s". */
const char *plural(uint64_t number);

/* A name that may hold any bytes, of at most `length`, as it may be shown: what isn't a printable character of this
 * locale is a '?'. Returns `text`, which is always ended. */
const char *legible(char *text, size_t size, const char *name, size_t length);

#endif
