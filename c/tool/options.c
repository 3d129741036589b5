/* The options and arguments of the subcommands, read with getopt_long(3). */
#include "commands.h"

#include <stdarg.h>
#include <stdlib.h>

_Noreturn static void refuse(char **argv)
{
    fprintf(stderr, "See '%s --help'.\n", argv[0]);
    exit(WRONG_USE);
}

int next_option(int argc, char **argv, const struct usage *usage)
{
    int option = getopt_long(argc, argv, usage->shorts, usage->longs, NULL);
    if (option == '?')
        refuse(argv);
    if (option == 'h') {
        fputs(usage->help, stdout);
        exit(after_output(DONE));
    }
    return option;
}

const char *only_file(int argc, char **argv)
{
    if (optind == argc)
        wrong_use(argv, "no FILE given");
    if (optind + 1 < argc)
        wrong_use(argv, "more than one FILE given");
    return argv[optind];
}

void need_file_and_copy(int argc, char **argv)
{
    if (argc - optind < 2)
        wrong_use(argv, "no %s given", optind == argc ? "FILE" : "COPY");
    if (argc - optind > 2)
        wrong_use(argv, "more than FILE and COPY given");
}

_Noreturn void wrong_use(char **argv, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", argv[0]);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    refuse(argv);
}
