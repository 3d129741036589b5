/* What the plugin of loadable.c exports: its heaps, and filz's functions as they are in it. */
#ifndef FILZ_TESTS_LOADABLE_H
#define FILZ_TESTS_LOADABLE_H

#include <filz.h>

enum { PLUGIN_HEAPS = 2 };

struct plugin {
    filz_mmap heaps[PLUGIN_HEAPS];
    int (*open)(filz_mmap *);
    void *(*alloc)(filz_mmap *, size_t, size_t);
    int (*set_root)(filz_mmap *, const void *);
    int (*stats)(const filz_mmap *, filz_mmap_info *);
    void (*last_destructor)(void); /* the program's, or NULL */
};

#endif
