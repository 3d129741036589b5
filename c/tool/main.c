/* filz: inspects heap files, even those of running programs. This file only selects the subcommand. */
#include "commands.h"

#include <filz.h>
#include <locale.h>
#include <string.h>

static const struct command {
    const char *name, *title, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"inspect", "filz inspect", "prints what a heap file is, and how full it is", command_inspect},
    {"map", "filz map", "prints a map of its pages", command_map},
    {"watch", "filz watch", "shows the map of a running program's heap", command_watch},
    {"check", "filz check", "checks its headers for damage", command_check},
    {"snapshot", "filz snapshot", "copies a heap, even while it is written", command_snapshot},
    {"run", "filz run", "runs a program, then inspects its heap", command_run},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static int print_help(FILE *out)
{
    fprintf(out, "Usage: filz COMMAND [OPTION...] [ARGUMENT...]\n"
                 "Inspects the heap files that libfilz makes, even while their programs run.\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n  --help     prints this, or, after a command, that command's help\n"
                 "  --version  prints the version\n");
    return out == stdout ? DONE : WRONG_USE;
}

static int print_version(void)
{
    printf("filz %s, heap format %d\n", FILZ_VERSION, FZ_FORMAT);
    return DONE;
}

static int run_command(int argc, char **argv)
{
    if (argc == 0)
        return print_help(stderr);
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
        return print_help(stdout);
    if (strcmp(argv[0], "--version") == 0)
        return print_version();
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[0], commands[i].name) == 0) {
            argv[0] = (char *)commands[i].title;
            return commands[i].run(argc, argv);
        }
    fprintf(stderr, "filz: no command '%s'\nSee 'filz --help'.\n", argv[0]);
    return WRONG_USE;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    return after_output(run_command(argc - 1, argv + 1));
}
