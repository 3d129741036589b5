/* What the tests of plugins share: loading the one of loadable.c, or a copy of it, and letting go of it. */
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

#endif
