# shellcheck shell=bash
# What the scripts in tests/ and bench/run share. They begin with `. "$(dirname "$0")/../common.sh"`, and continue in the
# project's root.
[ "${BASH_VERSINFO[0]}" -ge 5 ] || { echo "the tests need bash 5 or newer, and Linux" >&2 && exit 2; }
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CTEST_OUTPUT_ON_FAILURE=1 CARGO_TERM_QUIET=true
CTEST_PARALLEL_LEVEL=$(nproc) CMAKE_BUILD_PARALLEL_LEVEL=$(nproc)
export CTEST_PARALLEL_LEVEL CMAKE_BUILD_PARALLEL_LEVEL
use_ninja() {
    ! command -v ninja >/dev/null || export CMAKE_GENERATOR=Ninja
}
use_ninja

# Runs a command whose output matters only if it fails.
quietly() {
    local log
    log=$(mktemp)
    "$@" >"$log" 2>&1 || { cat "$log" && rm "$log" && return 1; }
    rm "$log"
}

# Ends a stage that this machine can't run.
cannot() {
    echo "cannot run here: $*"
    exit 77
}

# fails_with "WORDS" COMMAND...: a compiler must say this. Its line is printed as one that was expected.
fails_with() {
    local answer
    answer=$("${@:2}" 2>&1) && echo "no error: ${*:2}" && return 1
    grep -m 1 "error.*$1" <<<"$answer" | sed 's/^/expected: /' || { echo "not '$1' but: $answer" && return 1; }
}

# build PRESET: in build/PRESET, where warnings are errors
build() {
    quietly cmake --preset "$1" -DFILZ_WERROR=ON
    quietly cmake --build "build/$1"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# A machine made from an image may have no package lists yet.
need_package_lists() {
    command -v apt-get >/dev/null || cannot "no apt-get"
    [ -n "$(apt-get indextargets 'Created-By: Packages')" ] || quietly as_root apt-get update
}
