/* Formats problems, numbers and names. */
#include "commands.h"

#include <errno.h>
#include <filz/mmap.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

bool problem_at(struct problem *problem, uint64_t offset, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    problem->offset = offset;
    vsnprintf(problem->what, sizeof(problem->what), format, arguments);
    va_end(arguments);
    return false;
}

bool problem_of_error(struct problem *problem, int error)
{
    return problem_at(problem, NOWHERE, "%s", filz_error_text(error));
}

bool problem_of(struct problem *problem, const struct fz_problem *found, const struct fz_header *header)
{
    const char *what = found->error > 0 ? filz_error_text(found->error) : found->what;
    switch (found->error) {
    case FILZ_EFORMAT:
        return problem_at(problem, found->offset, "%s: %" PRIu32, what, header->format);
    case FILZ_EWORDSIZE:
        return problem_at(problem, found->offset, "%s: %" PRIu32, what, header->word_size);
    case FILZ_EPAGESIZE:
        return problem_at(problem, found->offset, "%s: %" PRIu64, what, header->page_size);
    default:
        return problem_at(problem, found->offset, "%s", what);
    }
}

void report(const char *path, const struct problem *problem)
{
    char shown[4096];
    fflush(stdout);
    fprintf(stderr, "filz: %s: ", legible(shown, sizeof(shown), path, sizeof(shown)));
    if (problem->offset != NOWHERE)
        fprintf(stderr, "offset %" PRIu64 ": ", problem->offset);
    fprintf(stderr, "%s\n", problem->what);
}

int after_output(int status)
{
    struct problem problem;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    problem_of_error(&problem, errno);
    report("standard output", &problem);
    return status == DONE ? FAILED : status;
}

const char *number_text(char text[NUMBER_TEXT], uint64_t number)
{
    char digits[NUMBER_TEXT];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    char *end = text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *end++ = ',';
        *end++ = digits[i];
    }
    *end = '\0';
    return text;
}

const char *plural(uint64_t number)
{
    return number == 1 ? "" : "s";
}

const char *size_text(char text[NUMBER_TEXT], uint64_t bytes)
{
    static const char units[][4] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double amount = (double)bytes;
    for (; amount >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        amount /= 1024;
    snprintf(text, NUMBER_TEXT, "%.*f %s", unit > 0, amount, units[unit]);
    return text;
}

const char *legible(char *text, size_t size, const char *name, size_t length)
{
    mbstate_t state = {0};
    char *out = text, *const last = text + size - 1;
    const char *const end = name + strnlen(name, length);
    while (name < end && out < last) {
        wchar_t character;
        size_t bytes = mbrtowc(&character, name, (size_t)(end - name), &state);
        bool shows = bytes - 1 < (size_t)(last - out) && iswprint((wint_t)character);
        if (shows) {
            memcpy(out, name, bytes);
            out += bytes;
        } else {
            *out++ = '?';
        }
        name += bytes - 1 < (size_t)(end - name) ? bytes : 1;
        if (!shows)
            state = (mbstate_t){0};
    }
    *out = '\0';
    return text;
}
