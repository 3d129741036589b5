/* `filz map` prints the page map: on a terminal, in its size and colours; with --svg, as a picture. */
#include "commands.h"
#include "svg.h"
#include "terminal.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <unistd.h>

static const char help[] = "Usage: filz map [--svg OUT] FILE\n"
                           "Prints a map of what each page of a heap file is used for. Its program may be running.\n"
                           "\n"
                           "  --svg OUT  writes a picture to the file OUT, or to standard output if it is -\n"
                           "  --help     prints this\n"
                           "\n"
                           "On a terminal each thread has a colour, unless NO_COLOR is set. If COLUMNS and LINES are\n"
                           "set, the map fits that size.\n";

enum { WIDTH = 80, HEIGHT = 20, LEAST = 20, MOST = 1000 };

/* --- standard output --- */

static int colours, colour_now;

static int write_byte(int byte)
{
    return putchar(byte);
}

static void set_colour(int colour)
{
    if (colours == 0 || colour == colour_now)
        return;
    if (colour == PLAIN)
        tputs(tigetstr("op"), 1, write_byte);
    else
        tputs(tparm(tigetstr("setaf"), (long)terminal_colour(colours, colour), 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L), 1,
              write_byte);
    colour_now = colour;
}

static void write_text(const char *text, int colour)
{
    set_colour(colour);
    fputs(text, stdout);
}

static void end_line(void)
{
    set_colour(PLAIN);
    putchar('\n');
}

static bool has_string(const char *name)
{
    const char *string = tigetstr(name);
    return string != NULL && string != (const char *)-1;
}

/* 0: none. */
static int colours_of_terminal(void)
{
    int error;
    if (colours_unwanted() || !isatty(STDOUT_FILENO) || setupterm(NULL, STDOUT_FILENO, &error) != OK)
        return 0;
    int number = tigetnum("colors");
    return number >= 8 && has_string("setaf") && has_string("op") ? number : 0;
}

static int size_from(const char *variable, int otherwise)
{
    const char *text = getenv(variable);
    long size = text != NULL ? strtol(text, NULL, 10) : 0;
    if (size <= 0)
        size = otherwise;
    return (int)(size < MOST ? size : MOST);
}

static void find_size(int *width, int *height)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    *width = size_from("COLUMNS", known ? size.ws_col : WIDTH);
    *height = size_from("LINES", known ? size.ws_row : HEIGHT + 1) - 1; /* one for the prompt */
    if (*width < LEAST)
        *width = LEAST;
}

/* --- the map --- */

static void print_map(const struct reader *reader, const struct page_map *map, int width)
{
    colours = colours_of_terminal();
    colour_now = PLAIN;
    struct pen pen = {
        .width = width,
        .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
        .coloured = colours != 0,
        .write = write_text,
        .end_line = end_line,
    };
    draw_head(&pen, reader, map);
    draw_cells(&pen, map);
    draw_legend(&pen, map);
}

/* --- the picture --- */

static bool is_a_heap(const char *path)
{
    char start[FZ_MAGIC_SIZE];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t length = fd < 0 ? 0 : pread(fd, start, sizeof(start), 0);
    if (fd >= 0)
        close(fd);
    return length > 0 && fz_has_magic(start, (size_t)length);
}

/* A picture must not overwrite a heap, its own or another: a program may have it mapped. */
static FILE *open_picture(const char *path, struct problem *problem)
{
    if (is_a_heap(path)) {
        problem_at(problem, NOWHERE, "is a heap, which the picture would overwrite");
        return NULL;
    }
    FILE *out = fopen(path, "we");
    if (out == NULL)
        problem_of_error(problem, errno);
    return out;
}

static bool write_picture(const char *path, const struct reader *reader, const struct page_map *map)
{
    struct problem problem;
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *out = to_stdout ? stdout : open_picture(path, &problem);
    if (out == NULL) {
        report(path, &problem);
        return false;
    }
    svg_draw(out, reader, map);
    if (to_stdout)
        return true;
    bool failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed)
        return true;
    problem_of_error(&problem, errno);
    report(path, &problem);
    return false;
}

static int show(struct reader *reader, const char *picture)
{
    struct page_map map;
    struct problem problem;
    int width, height;
    find_size(&width, &height);
    if (!page_map_init(&map, picture != NULL ? SVG_CELLS : cells_on_screen(width, height, 0))) {
        problem_of_error(&problem, ENOMEM);
        report(reader->path, &problem);
        return FAILED;
    }
    bool written = true, whole = page_map_read(&map, reader, &problem);
    if (picture != NULL)
        written = write_picture(picture, reader, &map);
    else
        print_map(reader, &map, width);
    if (!whole)
        report(reader->path, &problem);
    page_map_free(&map);
    return written && whole ? DONE : FAILED;
}

int command_map(int argc, char **argv)
{
    static const struct option longs[] = {
        OPTION_HELP,
        {"svg", required_argument, NULL, 's'},
        {0},
    };
    static const struct usage usage = {help, "h", longs};
    const char *picture = NULL;
    while (next_option(argc, argv, &usage) != -1)
        picture = optarg;
    const char *path = only_file(argc, argv);
    struct reader reader;
    struct problem problem;
    if (!reader_open(&reader, path, &problem)) {
        report(path, &problem);
        return FAILED;
    }
    int status = show(&reader, picture);
    reader_close(&reader);
    return status;
}
