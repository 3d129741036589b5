/* A program of somebody else's: uses both allocators, and leaves no file. */
#include <filz.h>
#include <filz/hooks.h>
#include <stdio.h>
#include <string.h>

FILZ_STACK(scratch, 4096)
static filz_mmap heap = FILZ_MMAP_INIT;
FILZ_HOOKS(hook, &heap)

int main(void)
{
    char *kept = filz_mmap_alloc(&heap, 1000, 64);
    char *brief = filz_stack_alloc(scratch, 100, 1);
    if (kept == NULL || brief == NULL || !filz_mmap_owns(&heap, kept) || !filz_stack_owns(scratch, brief))
        return 1;
    if (strcmp(filz_version(), FILZ_VERSION) != 0)
        return 1;
    strcpy(brief, "filz " FILZ_VERSION);
    strcpy(kept, brief);
    puts(kept);
    char *copy = hook_strdup(kept);
    if (copy == NULL || strcmp(copy, kept) != 0 || hook_usable_size(copy) <= strlen(kept))
        return 1;
    return filz_mmap_close(&heap);
}
