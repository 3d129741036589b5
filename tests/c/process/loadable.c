/* A plugin that is linked with the static library, so that it has a copy of filz of its own: see plugins.h. */
#include "loadable.h"

#include <stdlib.h>
#include <string.h>

__attribute__((visibility("default"))) struct plugin plugin = {
    .open = filz_mmap_open,
    .alloc = filz_mmap_alloc,
    .set_root = filz_mmap_set_root,
    .stats = filz_mmap_stats,
};

/* As a program's own may. It runs before filz ends, also when the plugin is unloaded. */
static void allocate_at_the_end(void)
{
    char *block = filz_mmap_alloc(&plugin.heaps[0], 5000, 8);
    if (block == NULL)
        abort();
    memset(block, 'e', 5000);
}

__attribute__((destructor)) static void allocate_in_a_destructor(void)
{
    allocate_at_the_end();
}

__attribute__((constructor)) static void allocate_in_a_handler(void)
{
    if (atexit(allocate_at_the_end) != 0)
        abort();
}

/* Destructors run in the order of falling priorities, and of equal ones the first in the link order runs last: so this
 * one runs after filz's. */
__attribute__((destructor(101))) static void end(void)
{
    if (plugin.last_destructor)
        plugin.last_destructor();
}
