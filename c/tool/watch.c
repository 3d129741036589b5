/* `filz watch` draws the page map of a running program again and again. It may not leave the terminal in another state,
 * or take more than a part of the processor's time, however large the heap. */
#include "commands.h"
#include "terminal.h"

#include <curses.h>
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char help[] = "Usage: filz watch FILE\n"
                           "Shows what each page of a running program's heap is used for, as it changes, and how fast\n"
                           "the program allocates. Ends with the program, or when q is pressed.\n"
                           "\n"
                           "  --help  prints this\n";

enum {
    PAUSE = 150,      /* milliseconds between two pictures, at least; */
    PAUSE_FACTOR = 3, /* and so many times as long as one takes */
    SAMPLES = 8,      /* for the rate */
    TRIES = 20,       /* failed reads in a row after which a file isn't a heap any more */
    RATE_ROWS = 1,
};

/* How much was allocated at a time. */
struct sample {
    double time; /* seconds */
    uint64_t blocks, used;
};

struct watch {
    struct reader reader;
    struct page_map map;
    uint32_t pid; /* of the program that is watched, and its name */
    char program[FZ_PROGRAM_MAX + 1];
    double start;
    struct sample samples[SAMPLES]; /* the newest first */
    size_t sample_count;
    struct problem problem;
    int failures;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* --- signals --- */

static volatile sig_atomic_t asked_to_end;

static void ask_to_end(int signal)
{
    (void)signal;
    asked_to_end = 1;
}

/* Before ncurses, which would end the program itself. */
static void catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = ask_to_end};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
}

/* --- the screen --- */

static bool coloured;
static int row;

static void write_text(const char *text, int colour)
{
    chtype pair = coloured && colour >= 0 ? (chtype)COLOR_PAIR(colour + 1) : 0;
    attron(pair);
    addstr(text);
    attroff(pair);
}

static void end_line(void)
{
    move(++row, 0);
}

static void begin_colours(void)
{
    coloured = !colours_unwanted() && has_colors() && start_color() == OK && use_default_colors() == OK;
    for (int colour = 0; coloured && colour < MAP_COLOURS; colour++)
        init_pair((short)(colour + 1), (short)terminal_colour(COLORS, colour), -1);
}

static bool begin_screen(SCREEN **screen)
{
    *screen = newterm(NULL, stdout, stdin);
    if (*screen == NULL)
        return false;
    cbreak();
    noecho();
    nodelay(stdscr, TRUE);
    curs_set(0);
    begin_colours();
    return true;
}

static void end_screen(SCREEN *screen)
{
    endwin();
    delscreen(screen);
}

/* --- the rate --- */

/* Fewer blocks than before mean a reset, or another run. */
static void take_sample(struct watch *watch)
{
    const struct page_map *map = &watch->map;
    if (watch->sample_count > 0 && watch->samples[0].blocks > map->blocks)
        watch->sample_count = 0;
    memmove(watch->samples + 1, watch->samples, (SAMPLES - 1) * sizeof(watch->samples[0]));
    watch->samples[0] = (struct sample){now(), map->blocks, map->used};
    if (watch->sample_count < SAMPLES)
        watch->sample_count++;
}

static uint64_t per_second(uint64_t newer, uint64_t older, double seconds)
{
    return newer > older && seconds > 0 ? (uint64_t)((double)(newer - older) / seconds) : 0;
}

static const char *time_text(char text[NUMBER_TEXT], double seconds)
{
    unsigned long whole = (unsigned long)seconds;
    snprintf(text, NUMBER_TEXT, "%lu:%02lu:%02lu", whole / 3600, whole / 60 % 60, whole % 60);
    return text;
}

static void draw_rate(const struct pen *pen, const struct watch *watch)
{
    char blocks[NUMBER_TEXT], bytes[NUMBER_TEXT], time[NUMBER_TEXT], text[256];
    const struct sample *newest = &watch->samples[0], *oldest = &watch->samples[watch->sample_count - 1];
    double seconds = newest->time - oldest->time;
    snprintf(text, sizeof(text), "q to end; %s blocks/s, %s/s, %s",
             number_text(blocks, per_second(newest->blocks, oldest->blocks, seconds)),
             size_text(bytes, per_second(newest->used, oldest->used, seconds)), time_text(time, now() - watch->start));
    draw_line(pen, text);
}

/* --- watching --- */

static bool resize_map(struct watch *watch)
{
    size_t cells = cells_on_screen(COLS, LINES, RATE_ROWS);
    if (cells == watch->map.most_cells)
        return true;
    page_map_free(&watch->map);
    return page_map_init(&watch->map, cells) || problem_of_error(&watch->problem, ENOMEM);
}

static void draw(const struct watch *watch)
{
    struct pen pen = {
        .width = COLS,
        .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
        .coloured = coloured,
        .write = write_text,
        .end_line = end_line,
    };
    row = 0;
    erase();
    draw_head(&pen, &watch->reader, &watch->map);
    draw_rate(&pen, watch);
    draw_cells(&pen, &watch->map);
    draw_legend(&pen, &watch->map);
    refresh();
}

/* Before a heap is initialized, its program isn't known. */
static void meet_program(struct watch *watch)
{
    const struct fz_header *header = &watch->reader.header;
    watch->pid = header->pid;
    legible(watch->program, sizeof(watch->program), header->program, FZ_PROGRAM_MAX);
}

/* If the program is just writing what is read, the last picture stays for a moment. */
static bool look(struct watch *watch)
{
    struct page_map *map = &watch->map;
    bool readable =
        reader_refresh(&watch->reader, &watch->problem) && page_map_read(map, &watch->reader, &watch->problem);
    watch->failures = readable ? 0 : watch->failures + 1;
    if (readable && watch->pid == 0)
        meet_program(watch);
    if (readable && watch->reader.header.pid == watch->pid)
        take_sample(watch);
    return watch->failures < TRIES;
}

static bool has_ended(const struct watch *watch)
{
    const struct fz_header *header = &watch->reader.header;
    return watch->reader.use == FILE_UNUSED || (header->cursor != 0 && header->pid != watch->pid);
}

/* Returns whether to go on. */
static bool wait_for_key(int milliseconds)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    poll(&input, isatty(STDIN_FILENO) ? 1 : 0, milliseconds);
    for (int key; (key = getch()) != ERR;)
        if (key == 'q' || key == 'Q')
            return false;
    return !asked_to_end && (input.revents & (POLLHUP | POLLERR)) == 0;
}

static int pause_after(double seconds)
{
    double milliseconds = 1000 * PAUSE_FACTOR * seconds;
    return milliseconds > PAUSE ? (int)milliseconds : PAUSE;
}

/* Until the program has ended, or the user quits. Returns false if there is a problem. */
static bool follow(struct watch *watch)
{
    double before;
    do {
        before = now();
        if (!resize_map(watch) || !look(watch))
            return false;
        if (has_ended(watch))
            return true;
        if (watch->failures == 0)
            draw(watch);
    } while (wait_for_key(pause_after(now() - before)));
    return true;
}

static const char *how_it_ended(const struct watch *watch)
{
    const struct fz_header *header = &watch->reader.header;
    if (header->pid != watch->pid)
        return "has ended";
    return header->clean ? "has closed it" : "has ended without closing it";
}

static void print_end(const struct watch *watch)
{
    char path[4096], blocks[NUMBER_TEXT], used[NUMBER_TEXT], time[NUMBER_TEXT];
    const struct sample *last = &watch->samples[0];
    printf("%s: %s, pid %" PRIu32 ", %s after %s blocks and %s; watched for %s\n",
           legible(path, sizeof(path), watch->reader.path, sizeof(path)), watch->program, watch->pid,
           how_it_ended(watch), number_text(blocks, last->blocks), size_text(used, last->used),
           time_text(time, now() - watch->start));
}

static int watch_on_screen(struct watch *watch)
{
    SCREEN *screen;
    catch_signals();
    if (!begin_screen(&screen)) {
        problem_at(&watch->problem, NOWHERE, "isn't a terminal that ncurses knows; see $TERM");
        report("standard output", &watch->problem);
        return FAILED;
    }
    bool followed = follow(watch);
    end_screen(screen);
    if (!followed)
        report(watch->reader.path, &watch->problem);
    else if (has_ended(watch))
        print_end(watch);
    page_map_free(&watch->map);
    return followed ? DONE : FAILED;
}

static int watch_file(const char *path)
{
    struct watch watch = {.start = now()};
    if (!reader_open(&watch.reader, path, &watch.problem)) {
        report(path, &watch.problem);
        return FAILED;
    }
    int status = FAILED;
    if (watch.reader.use != FILE_UNUSED) {
        status = watch_on_screen(&watch);
    } else {
        problem_at(&watch.problem, NOWHERE, "no program has it open");
        report(path, &watch.problem);
    }
    reader_close(&watch.reader);
    return status;
}

int command_watch(int argc, char **argv)
{
    static const struct option longs[] = {OPTION_HELP, {0}};
    static const struct usage usage = {help, "h", longs};
    while (next_option(argc, argv, &usage) != -1)
        ;
    const char *path = only_file(argc, argv);
    if (!isatty(STDOUT_FILENO))
        wrong_use(argv, "standard output isn't a terminal");
    return watch_file(path);
}
