# shellcheck shell=bash
# Builds the programs of tests/bare for targets whose standard library is in no package. Its source is, which cargo
# compiles only with RUSTC_BOOTSTRAP.
. tests/rust/oldest.sh

# build_bare TARGET ARGUMENT...
build_bare() {
    local name=${1//-/_} library=core,alloc
    case $1 in *-windows-* | wasm32-*) library=std,panic_abort ;; esac
    (
        export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$PWD/build/bare
        case $1 in thumb* | riscv* | wasm*) export "CC_$name=clang" ;; esac
        cd tests/bare || exit
        oldest cargo "${verb-build}" --locked --release --target "$1" "-Zbuild-std=$library" "${@:2}"
    )
}

# linked_with TARGET LINKER FLAG...: what the program for TARGET is linked with, and further flags of rustc.
linked_with() {
    local name=${1//-/_}
    export "CARGO_TARGET_${name^^}_LINKER=$2" "CARGO_TARGET_${name^^}_RUSTFLAGS=-Dwarnings ${*:3}"
}

# target_library TARGET: where rustc looks for what -Zbuild-std doesn't build.
target_library() {
    mkdir -p "$oldest_rust/usr/lib/rustlib/$1/lib/self-contained"
    echo "$oldest_rust/usr/lib/rustlib/$1/lib"
}

# A program for this target that names filz::mmap isn't compiled.
has_no_mmap() {
    fails_with "unresolved import .filz::mmap" build_bare "$1" --features mmap --bin mmap
}
