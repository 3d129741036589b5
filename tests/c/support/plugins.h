/* What the tests of plugins share: loading the one of loadable.c, or a copy of it, using its heaps, unloading it. */
#ifndef FILZ_TESTS_PLUGINS_H
#define FILZ_TESTS_PLUGINS_H

#include "endings.h"
#include "loadable.h"
#include "threads.h"

#include <dlfcn.h>

static const char *plugin_path;

struct loaded {
    void *library;
    struct plugin *plugin;
};

MAYBE_UNUSED static int load_from(struct loaded *loaded, const char *path)
{
    loaded->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (loaded->library == NULL)
        print_message("%s\n", dlerror());
    EXPECT(loaded->library);
    loaded->plugin = dlsym(loaded->library, "plugin");
    EXPECT(loaded->plugin);
    return 0;
}

enum { PLUGINS_BLOCK = 3000, PLUGINS_TAG = 7 };

/* A block in each of the plugin's heaps. */
MAYBE_UNUSED static int use(struct plugin *plugin)
{
    for (size_t i = 0; i < PLUGIN_HEAPS; i++) {
        char *block = plugin->alloc(&plugin->heaps[i], PLUGINS_BLOCK, 1);
        EXPECT(block);
        memset(block, 'p', PLUGINS_BLOCK);
    }
    return 0;
}

/* With its heaps set up: an unnamed one and a persistent one. */
MAYBE_UNUSED static int load(struct loaded *loaded)
{
    EXPECT(load_from(loaded, plugin_path) == 0);
    filz_mmap *heaps = loaded->plugin->heaps;
    heaps[0].capacity = heaps[1].capacity = 8 * MIB;
    heaps[1].path = "persistent.filz";
    heaps[1].flags = FILZ_MMAP_PERSISTENT;
    heaps[1].tag = PLUGINS_TAG;
    return 0;
}

/* Nothing of it is left. */
MAYBE_UNUSED static int unload(struct loaded *loaded)
{
    EXPECT(dlclose(loaded->library) == 0);
    EXPECT(dlopen(plugin_path, RTLD_NOW | RTLD_NOLOAD) == NULL);
    return 0;
}

/* glibc can load plugins, so there a test goes on, and fails by itself. musl can't load one with static thread-local
 * storage into a program that runs. */
#ifdef __GLIBC__
static const bool glibc = true;
#else
static const bool glibc = false;
#endif

MAYBE_UNUSED static bool plugins_can_be_loaded(void)
{
    void *library = glibc ? NULL : dlopen(plugin_path, RTLD_NOW | RTLD_LOCAL);
    if (!glibc && library == NULL)
        print_message("%s\n", dlerror());
    return glibc || (library != NULL && dlclose(library) == 0);
}

#define NEED_PLUGINS()                                                                                                 \
    do {                                                                                                               \
        if (!plugins_can_be_loaded())                                                                                  \
            SKIP("this C library can't load a plugin that is linked with libfilz.a");                                  \
    } while (0)

#ifdef __SANITIZE_THREAD__
#define NEED_UNLOADING() SKIP("ThreadSanitizer calls the handlers of atexit(3) of a library that was unloaded")
#else
#define NEED_UNLOADING() NEED_PLUGINS()
#endif

#endif
