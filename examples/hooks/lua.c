/* Lua: each state has a heap of its own, which is its limit too. lua_Alloc passes the heap and the old size, so a block
 * takes no more than Lua asks for. */
#include <filz/hooks.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

/* In a protected call, since all of Lua's functions that allocate may raise an error. */
static int run(lua_State *lua)
{
    const char *const *script = lua_touserdata(lua, 1);
    luaL_openlibs(lua);
    if (luaL_dostring(lua, *script))
        lua_error(lua);
    return 1;
}

/* Runs the script in a heap of `capacity` bytes, and prints its result, or what went wrong. */
static int run_within(size_t capacity, const char *script)
{
    filz_mmap heap = {.capacity = capacity};
    lua_State *lua = lua_newstate(filz_context_realloc, &heap);
    if (lua == NULL)
        return 1;
    lua_pushcfunction(lua, run);
    lua_pushlightuserdata(lua, &script);
    lua_pcall(lua, 1, 1, 0);
    puts(lua_tostring(lua, -1));
    lua_close(lua);
    return filz_mmap_close(&heap);
}

int main(void)
{
    const char *script = "local squares = {}\n"
                         "for i = 1, 1000 do squares[i] = i * i end\n"
                         "return 'the last square is ' .. squares[1000]\n";
    const char *endless = "local list = {}\n"
                          "while true do list[#list + 1] = 'more and more: ' .. #list end\n";
    return run_within(4 << 20, script) != 0 || run_within(4 << 20, endless) != 0;
}
