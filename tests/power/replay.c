/* Cuts the power after the writes of a log (disk.c), once with all writes up to there on the disk and three times with
 * any of those since the last flush; mounts what is left, and lets verify look at the heap.
 *
 *     replay try NAME SYSTEM BASE LOG SCRATCH MOUNT-POINT VERIFY PERCENT SEED
 *         says how many points were bad on SYSTEM (ext4 or xfs); exits with 1 if any was. BASE is the disk's image
 *         before the log, which this changes; SCRATCH the image to mount. With FILZ_POWER_KEEP, a directory, the images
 *         of the first bad points are left there
 *     replay cut BASE LOG SEED
 *         makes BASE what a power cut somewhere in the second half of the log leaves, and prints the lists that were
 *         synced by then: GENERATION LENGTH... */
#include "../disks/expect.h"
#include "image.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/* <linux/fs.h> doesn't go with <sys/mount.h>. */
#ifndef BLKFLSBUF
#define BLKFLSBUF _IO(0x12, 97)
#endif

enum { MOST_REPORTED = 5, MOST_REASON = 300 };

/* What has to be there after a power cut. */
struct wanted {
    struct lengths lengths;
    bool started, empty_too;
};

struct replay {
    const char *name, *system, *mount_point, *verify;
    struct log log;
    struct base base;
    int scratch, device;
    char device_name[32];
    uint64_t seed;
    unsigned tried[CUT_KINDS], bad[CUT_KINDS], reported;
    char reason[MOST_REASON], reported_reasons[MOST_REPORTED][MOST_REASON];
};

/* -- The disk ------------------------------------------------------------------------------------------------------ */

/* The device goes when this process does. Another process may take the free one first. */
static void attach(struct replay *replay)
{
    const struct loop_config config = {.fd = (unsigned)replay->scratch, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
    int loops = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    EXPECT(loops >= 0);
    for (int tries = 0;; tries++) {
        int number = ioctl(loops, LOOP_CTL_GET_FREE);
        EXPECT(number >= 0);
        snprintf(replay->device_name, sizeof(replay->device_name), "/dev/loop%d", number);
        replay->device = open(replay->device_name, O_RDWR | O_CLOEXEC);
        EXPECT(replay->device >= 0);
        if (ioctl(replay->device, LOOP_CONFIGURE, &config) == 0)
            break;
        EXPECT(errno == EBUSY && tries < 100 && close(replay->device) == 0);
    }
    EXPECT(close(loops) == 0);
}

/* Runs verify; its first line, or its end by a signal, is the reason. */
static bool is_well(struct replay *replay, const struct wanted *wanted)
{
    char command[PATH_MAX * 2];
    int length = snprintf(command, sizeof(command), "%s %s/heap.filz %d %ju", replay->verify, replay->mount_point,
                          wanted->empty_too, (uintmax_t)wanted->lengths.generation);
    for (int list = 0; list < LISTS; list++)
        length +=
            snprintf(command + length, sizeof(command) - (size_t)length, " %ju", (uintmax_t)wanted->lengths.of[list]);
    snprintf(command + length, sizeof(command) - (size_t)length, " 2>&1");
    FILE *output = popen(command, "re");
    EXPECT(output != NULL);
    if (fgets(replay->reason, sizeof(replay->reason), output) == NULL)
        strcpy(replay->reason, "verify said nothing\n");
    replay->reason[strcspn(replay->reason, "\n")] = '\0';
    return pclose(output) == 0;
}

/* What is cached of the device is of the image before. */
static bool mount_and_verify(struct replay *replay, const struct wanted *wanted)
{
    EXPECT(ioctl(replay->device, BLKFLSBUF) == 0);
    if (mount(replay->device_name, replay->mount_point, replay->system, 0, NULL) != 0) {
        snprintf(replay->reason, sizeof(replay->reason), "mount: %s", strerror(errno));
        return false;
    }
    bool well = is_well(replay, wanted);
    EXPECT(umount2(replay->mount_point, 0) == 0);
    EXPECT(ioctl(replay->device, BLKFLSBUF) == 0);
    return well;
}

/* -- Points -------------------------------------------------------------------------------------------------------- */

static void see_marker(struct wanted *wanted, const struct marker *marker)
{
    if (marker->kind == MARKER_START)
        wanted->started = true;
    if (marker->kind == MARKER_RESET)
        wanted->empty_too = true;
    if (marker->kind == MARKER_DURABLE)
        *wanted = (struct wanted){.lengths = marker->lengths, .started = wanted->started};
}

/* The power may go any time before the next write. With writes missing, that is before the next flush. What was synced
 * before it has to be there; a reset before it permits what the time before the reset doesn't. */
static struct wanted wanted_after(const struct log *log, struct wanted wanted, size_t last, enum cut cut)
{
    for (size_t i = last + 1; i < log->count; i++) {
        const struct entry *entry = log->entries[i];
        if (entry->kind == ENTRY_WRITE || (entry->kind == ENTRY_FLUSH && cut != CUT_IN_ORDER))
            break;
        const struct marker *marker = image_data(entry);
        if (entry->kind == ENTRY_MARKER && marker->kind == MARKER_DURABLE)
            see_marker(&wanted, marker);
    }
    return wanted;
}

static void keep_image(struct replay *replay, size_t last, enum cut cut)
{
    char path[PATH_MAX];
    const char *directory = getenv("FILZ_POWER_KEEP");
    if (directory == NULL)
        return;
    snprintf(path, sizeof(path), "%s/%s-%zu-%d.image", directory, replay->name, last, cut);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    EXPECT(file >= 0);
    image_make(file, &replay->base, &replay->log, last, cut, replay->seed);
    EXPECT(close(file) == 0);
    printf("    kept as %s\n", path);
}

/* The first point that is bad for this reason, whatever numbers are in it. */
static bool is_worth_telling(struct replay *replay)
{
    size_t same = strcspn(replay->reason, "0123456789");
    for (unsigned i = 0; i < replay->reported; i++)
        if (strncmp(replay->reason, replay->reported_reasons[i], same) == 0)
            return false;
    if (replay->reported == MOST_REPORTED)
        return false;
    strcpy(replay->reported_reasons[replay->reported++], replay->reason);
    return true;
}

static void try_point(struct replay *replay, const struct wanted *wanted, size_t last, enum cut cut)
{
    const struct wanted here = wanted_after(&replay->log, *wanted, last, cut);
    image_make(replay->scratch, &replay->base, &replay->log, last, cut, replay->seed);
    replay->tried[cut]++;
    if (mount_and_verify(replay, &here))
        return;
    replay->bad[cut]++;
    if (is_worth_telling(replay)) {
        printf("  %s, power cut after entry %zu, %s: %s\n", replay->name, last, image_cut_names[cut], replay->reason);
        keep_image(replay, last, cut);
    }
}

/* `percent` of all writes since the start, evenly spread. */
static void try_points(struct replay *replay, unsigned percent)
{
    struct wanted wanted = {.started = false};
    uint64_t share = replay->seed % 100;
    for (size_t i = 0; i < replay->log.count; i++) {
        const struct entry *entry = replay->log.entries[i];
        if (entry->kind == ENTRY_MARKER)
            see_marker(&wanted, image_data(entry));
        if (entry->kind != ENTRY_WRITE || !wanted.started || (share += percent) < 100)
            continue;
        share -= 100;
        for (int cut = 0; cut < CUT_KINDS; cut++)
            try_point(replay, &wanted, i, (enum cut)cut);
    }
}

static int report(const struct replay *replay)
{
    size_t of_kind[3] = {0};
    unsigned bad = 0;
    for (size_t i = 0; i < replay->log.count; i++)
        of_kind[replay->log.entries[i]->kind]++;
    printf("%s: bad", replay->name);
    for (int cut = 0; cut < CUT_KINDS; cut++) {
        printf("%s %u of %u %s", cut == 0 ? "" : ",", replay->bad[cut], replay->tried[cut], image_cut_names[cut]);
        bad += replay->bad[cut];
    }
    printf(" (the log: %zu writes, %zu flushes)\n", of_kind[ENTRY_WRITE], of_kind[ENTRY_FLUSH]);
    return bad > 0;
}

static int open_image(const char *path)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT(file >= 0);
    return file;
}

static int try(char **arguments)
{
    static struct replay replay;
    replay.name = arguments[0];
    replay.system = arguments[1];
    replay.base.file = open_image(arguments[2]);
    replay.log = image_read_log(arguments[3]);
    replay.scratch = open_image(arguments[4]);
    replay.mount_point = arguments[5];
    replay.verify = arguments[6];
    unsigned percent = (unsigned)strtoul(arguments[7], NULL, 10);
    replay.seed = strtoull(arguments[8], NULL, 10);
    image_make(replay.scratch, &replay.base, &replay.log, 0, CUT_IN_ORDER, 0);
    attach(&replay);
    try_points(&replay, percent < 100 ? percent : 100);
    return report(&replay);
}

static void print_synced(const struct log *log, size_t last)
{
    struct wanted wanted = {.started = false};
    for (size_t i = 0; i <= last; i++)
        if (log->entries[i]->kind == ENTRY_MARKER)
            see_marker(&wanted, image_data(log->entries[i]));
    printf("%ju", (uintmax_t)wanted.lengths.generation);
    for (int list = 0; list < LISTS; list++)
        printf(" %ju", (uintmax_t)wanted.lengths.of[list]);
    putchar('\n');
}

static int cut_in_second_half(char **arguments)
{
    struct log log = image_read_log(arguments[1]);
    struct base base = {.file = open_image(arguments[0])};
    uint64_t seed = strtoull(arguments[2], NULL, 10);
    size_t last = log.count / 2 + seed * 7919 % (log.count / 2);
    char name[PATH_MAX];
    snprintf(name, sizeof(name), "%s.cut", arguments[0]);
    int crashed = open_image(name);
    image_make(crashed, &base, &log, last, CUT_PAGES, seed);
    EXPECT(rename(name, arguments[0]) == 0);
    print_synced(&log, last);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 11 && strcmp(argv[1], "try") == 0)
        return try(argv + 2);
    EXPECT(argc == 5 && strcmp(argv[1], "cut") == 0);
    return cut_in_second_half(argv + 2);
}
