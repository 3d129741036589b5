# shellcheck shell=bash
# Builds the programs of tests/bare for targets whose standard library is in no package. Its source is, which cargo
# compiles only with RUSTC_BOOTSTRAP.
. tests/rust/oldest.sh

# build_bare "TARGET..." ARGUMENT...: cargo makes use of all processors if it has several targets at once.
build_bare() {
    local target targets=() library=core,alloc
    for target in $1; do
        targets+=(--target "$target")
        case $target in *-windows-* | wasm32-*) library=std,panic_abort ;; esac
        case $target in thumb* | riscv* | wasm*) export "CC_${target//-/_}=clang" ;; esac
    done
    (
        export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$PWD/build/bare
        cd tests/bare || exit
        oldest cargo "${verb-build}" --locked --profile "${profile-release}" "${targets[@]}" "-Zbuild-std=$library" "${@:2}"
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
