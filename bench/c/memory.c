/* What the kernel says of the memory of this process. */
#define _GNU_SOURCE 1
#include "bench.h"

#include <linux/perf_event.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The number after `name` in a file of /proc. */
static double in_proc(const char *path, const char *name)
{
    char line[200];
    double number = 0;
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            number = strtod(line + strlen(name), NULL);
    if (file != NULL)
        fclose(file);
    return number;
}

/* Page faults that the program and its threads to come run into. getrusage counts otherwise: each page that comes in
 * without the disk, by a fault or by a call of madvise that brings in many. */
static double faults(void)
{
    static struct perf_event_attr event = {
        .type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_PAGE_FAULTS, .size = sizeof(event), .inherit = 1};
    static long counter = -1;
    uint64_t count;
    if (counter < 0)
        counter = syscall(SYS_perf_event_open, &event, 0, -1, -1, 0ul);
    bool known = counter >= 0 && read((int)counter, &count, sizeof(count)) == sizeof(count);
    return known ? (double)count : -1;
}

static double pages(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_minflt;
}

struct bench_memory bench_memory_now(void)
{
    static const char status[] = "/proc/self/status";
    return (struct bench_memory){
        .anonymous = in_proc(status, "RssAnon:") * 1024,
        .file = (in_proc(status, "RssFile:") + in_proc(status, "RssShmem:")) * 1024,
        .peak = in_proc(status, "VmHWM:") * 1024,
        .written = in_proc("/proc/self/io", "write_bytes:"),
        .faults = faults(),
        .pages = pages(),
    };
}
