/* Leaves two series of numbers in series.filz, for a program in another language to find: see series.rs. */
#include "series.h"

#include <filz/mmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static filz_mmap heap = {.path = "series.filz", .flags = FILZ_MMAP_PERSISTENT, .tag = SERIES_TAG};

static const struct series *add(const char *name, size_t count, double step, const struct series *next)
{
    struct series *series = filz_mmap_alloc(&heap, sizeof(*series), _Alignof(struct series));
    double *values = filz_mmap_alloc(&heap, count * sizeof(*values), _Alignof(double));
    char *copy = filz_mmap_alloc(&heap, strlen(name) + 1, 1);
    if (series == NULL || values == NULL || copy == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        values[i] = (double)i * step;
    strcpy(copy, name); /* the literal is in the program, not in the heap */
    *series = (struct series){copy, values, count, next};
    return series;
}

static void check(int error)
{
    if (error == 0)
        return;
    fprintf(stderr, "series.filz: %s\n", filz_error_text(error));
    exit(1);
}

int main(void)
{
    check(filz_mmap_open(&heap));
    check(filz_mmap_reset(&heap));
    const struct series *last = add("quarters", 5, 0.25, add("halves", 4, 0.5, NULL));
    if (last == NULL || last->next == NULL) {
        perror("series.filz");
        return 1;
    }
    check(filz_mmap_sync(&heap)); /* the data first: a root must not be on the disk before what it leads to */
    check(filz_mmap_set_root(&heap, last));
    check(filz_mmap_sync(&heap));
    puts("2 series are in series.filz");
    return filz_mmap_close(&heap);
}
