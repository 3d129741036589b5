/* A program has many plugins, each linked with the static library, so with a copy of filz of its own. They find room
 * beside each other, and none sees another's functions:
 *
 *     test-many_plugins PLUGIN libfilz.so nm */
#include "plugins.h"

enum { PLUGINS = 100, BLOCK = 1000 };

static const char *shared_library, *nm;

/* -- Room for all -------------------------------------------------------------------------------------------------- */

static int copy_plugin(const char *to)
{
    char bytes[4096];
    size_t length;
    FILE *in = fopen(plugin_path, "r"), *out = fopen(to, "w");
    EXPECT(in && out);
    while ((length = fread(bytes, 1, sizeof(bytes), in)) > 0)
        EXPECT(fwrite(bytes, 1, length, out) == length);
    EXPECT(fclose(in) == 0 && fclose(out) == 0);
    return 0;
}

/* A file of another name and another number is another library to dlopen. Returns how many were loaded. */
static size_t load_copies(struct loaded *loaded)
{
    char path[64];
    for (size_t i = 0; i < PLUGINS; i++) {
        snprintf(path, sizeof(path), "./plugin-%zu.so", i);
        if (copy_plugin(path) != 0 || load_from(&loaded[i], path) != 0)
            return i;
        loaded[i].plugin->heaps[0].capacity = 2 * MIB;
    }
    return PLUGINS;
}

/* A block of one plugin's. */
struct part {
    struct plugin *plugin;
    char *block;
    int byte;
};

static void *allocate(void *context)
{
    struct part *part = context;
    part->block = part->plugin->alloc(&part->plugin->heaps[0], BLOCK, 1);
    return part->block ? memset(part->block, part->byte, BLOCK) : NULL;
}

/* In the thread that has loaded them, and in one that knows none of them. */
static int allocate_from(struct part *parts)
{
    for (size_t i = 0; i < PLUGINS; i++) {
        EXPECT(allocate(&parts[2 * i]));
        EXPECT(in_thread(allocate, &parts[2 * i + 1]));
    }
    for (size_t i = 0; i < (size_t)PLUGINS * 2; i++)
        EXPECT(is_filled(parts[i].block, parts[i].byte, BLOCK));
    return 0;
}

static int counts_are_right(const struct loaded *loaded)
{
    filz_mmap_info info;
    for (size_t i = 0; i < PLUGINS; i++)
        EXPECT(loaded[i].plugin->stats(&loaded[i].plugin->heaps[0], &info) == 0 && info.blocks == 2);
    return 0;
}

static int use_many(void *unused)
{
    (void)unused;
    static struct loaded loaded[PLUGINS];
    static struct part parts[2 * PLUGINS];
    size_t count = load_copies(loaded);
    print_message("%zu of %d plugins were loaded\n", count, PLUGINS);
    EXPECT(count == PLUGINS);
    for (size_t i = 0; i < COUNT(parts); i++)
        parts[i] = (struct part){.plugin = loaded[i / 2].plugin, .byte = (int)i % 255};
    EXPECT(allocate_from(parts) == 0);
    EXPECT(counts_are_right(loaded) == 0);
    for (size_t i = 0; i < PLUGINS; i++)
        EXPECT(dlclose(loaded[i].library) == 0);
    end_at_once(0);
}

static void a_hundred_plugins_find_room_for_their_thread_local_storage(void **state)
{
    (void)state;
    NEED_PLUGINS();
    assert_int_equal(end_child_at_once(begin_child(use_many, NULL)), 0);
}

/* -- What a plugin exports ----------------------------------------------------------------------------------------- */

/* The names that a library exports, each with a line feed before and after it. */
static void read_exports(const char *path, char *names, size_t size)
{
    char command[2 * PATH_MAX + 100], line[1000], name[1000], type;
    snprintf(command, sizeof(command), "'%s' -D --defined-only '%s'", nm, path);
    FILE *lines = popen(command, "r");
    assert_non_null(lines);
    size_t length = (size_t)snprintf(names, size, "\n");
    while (fgets(line, sizeof(line), lines) != NULL)
        if (sscanf(line, "%*s %c %999s", &type, name) == 2)
            length += (size_t)snprintf(names + length, size - length, "%s\n", name);
    assert_int_equal(pclose(lines), 0);
    assert_true(length < size);
}

static bool is_among(const char *name, size_t length, const char *names)
{
    char whole[1000];
    snprintf(whole, sizeof(whole), "\n%.*s\n", (int)length, name);
    return strstr(names, whole) != NULL;
}

/* A name that begins with an underscore is the compiler's, the linker's or a sanitizer's. */
static void a_plugin_exports_nothing_of_filz_but_the_functions_of_its_headers(void **state)
{
    (void)state;
    static char exported[64 * KIB], public_names[64 * KIB];
    int stray = 0;
    read_exports(plugin_path, exported, sizeof(exported));
    read_exports(shared_library, public_names, sizeof(public_names));
    assert_true(is_among("plugin", strlen("plugin"), exported));
    assert_true(is_among("filz_mmap_alloc", strlen("filz_mmap_alloc"), public_names));
    for (const char *name = exported + 1, *end; (end = strchr(name, '\n')) != NULL; name = end + 1) {
        size_t length = (size_t)(end - name);
        if (*name == '_' || is_among(name, length, "\nplugin\n") || is_among(name, length, public_names))
            continue;
        print_message("exported, but not public: %.*s\n", (int)length, name);
        stray++;
    }
    assert_int_equal(stray, 0);
}

int main(int count, char **arguments)
{
    if (count != 4)
        return 2;
    plugin_path = arguments[1];
    shared_library = arguments[2];
    nm = arguments[3];
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_hundred_plugins_find_room_for_their_thread_local_storage),
        cmocka_unit_test(a_plugin_exports_nothing_of_filz_but_the_functions_of_its_headers),
    };
    return cmocka_run_group_tests_name("many_plugins", tests, NULL, NULL);
}
