# The libraries whose hooks the examples here and the tests in tests/hooks use. Only those of this machine: a program
# for another one, or for another C library, can't be linked with them.
#
# filz_find_hook_library(NAME PACKAGE MODULE...): finds one of these modules of pkg-config as the target
# PkgConfig::filz_NAME; else filz_NAME_missing says why not. PACKAGE is Debian's.
find_package(PkgConfig QUIET)

function(filz_find_hook_library name package)
    set(missing "no ${name} with pkg-config (Debian: ${package})")
    if(CMAKE_CROSSCOMPILING OR CMAKE_C_COMPILER MATCHES "musl")
        set(missing "no ${name} for this target")
    elseif(PKG_CONFIG_FOUND)
        pkg_search_module(filz_${name} IMPORTED_TARGET GLOBAL QUIET ${ARGN})
        if(TARGET PkgConfig::filz_${name})
            set(missing "")
        endif()
    endif()
    set(filz_${name}_missing "${missing}" PARENT_SCOPE)
endfunction()

# A test that is skipped, and says why.
function(filz_skip_test name why)
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -E echo "skipped: ${why}")
    set_tests_properties(${name} PROPERTIES LABELS hooks SKIP_REGULAR_EXPRESSION "skipped: ")
endfunction()

filz_find_hook_library(cjson libcjson-dev libcjson)
filz_find_hook_library(sqlite libsqlite3-dev sqlite3)
filz_find_hook_library(lua liblua5.4-dev lua5.4 lua-5.4 lua54 lua5.3 lua-5.3 lua53)
filz_find_hook_library(libxml2 libxml2-dev libxml-2.0)
filz_find_hook_library(jansson libjansson-dev jansson)
filz_find_hook_library(yyjson libyyjson-dev yyjson)
filz_find_hook_library(zlib zlib1g-dev zlib)
