/* Lua: lua_Alloc has a context and the old size, so a block has no size before it. */
#define LIBRARY "Lua"
#include "library.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static enum source lua_source;

static void use(enum source source)
{
    lua_source = source;
}

static void *counted_lua_alloc(void *context, void *block, size_t old_size, size_t size)
{
    (void)context, (void)old_size;
    return size != 0 ? counted_realloc(block, size) : (counted_free(block), NULL);
}

static const char *const script = "local words, count = {}, 0\n"
                                  "for i = 1, 20000 do\n"
                                  "  local word = 'word ' .. i % 1000\n"
                                  "  words[word] = (words[word] or 0) + i\n"
                                  "end\n"
                                  "for word, sum in pairs(words) do count = count + sum end\n"
                                  "local list = {}\n"
                                  "for i = 1, 2000 do list[i] = { number = i, text = tostring(i):rep(3) } end\n"
                                  "table.sort(list, function(a, b) return a.text < b.text end)\n"
                                  "local text = {}\n"
                                  "for i, entry in ipairs(list) do text[i] = entry.text end\n"
                                  "collectgarbage()\n"
                                  "local all = table.concat(text, ' ')\n"
                                  "return count, #all, all:sub(1, 20)\n";

static const char *run_script(lua_State *lua)
{
    luaL_openlibs(lua);
    if (luaL_loadstring(lua, script) != LUA_OK || lua_pcall(lua, 0, 3, 0) != LUA_OK)
        return strstr(lua_tostring(lua, -1), "not enough memory") ? out_of_memory : "the script failed";
    /* 200,010,000 is the sum of 1 to 20,000; the numbers have 3 * 6,893 digits, and 1,999 spaces between them. */
    bool right = lua_tointeger(lua, -3) == 200010000 && lua_tointeger(lua, -2) == 3 * 6893 + 1999 &&
                 strcmp(lua_tostring(lua, -1), "100010001000 1001001") == 0;
    return right ? NULL : "the script has other results";
}

/* luaL_openlibs raises errors, so it must be in a protected call. */
static int protected_run(lua_State *lua)
{
    const char **answer = lua_touserdata(lua, 1);
    *answer = run_script(lua);
    return 0;
}

static const char *run(void)
{
    lua_State *lua = lua_newstate(lua_source == FILZ ? filz_context_realloc : counted_lua_alloc, &heap);
    if (lua == NULL)
        return out_of_memory;
    const char *answer = NULL;
    lua_pushcfunction(lua, protected_run);
    lua_pushlightuserdata(lua, &answer);
    int error = lua_pcall(lua, 1, 0, 0);
    if (error == LUA_ERRMEM)
        answer = out_of_memory;
    else if (error != LUA_OK)
        answer = "the state failed";
    lua_close(lua);
    return answer;
}

int main(void)
{
    const struct CMUnitTest tests[] = {LIBRARY_TESTS};
    return cmocka_run_group_tests_name("lua", tests, NULL, NULL);
}
