# shellcheck shell=bash
# Debian's Rust 1.85, which is the oldest package that Cargo.toml allows. It is unpacked in build/: what is installed stays.
oldest_rust=$PWD/build/oldest-rust

unpack_oldest_rust() {
    local version package
    need_package_lists
    version=$(apt-cache madison rustc-web | awk '$3 ~ /^1\.85\./ && !seen++ { print $3 }')
    [ -n "$version" ] || cannot "no Debian package rustc-web 1.85"
    mkdir -p "$oldest_rust/debs"
    for package in rustc-web cargo-web libstd-rust-web-1.85 libstd-rust-web-dev rust-web-src; do
        [ ! -e "$oldest_rust/debs/$package" ] || continue
        (cd "$oldest_rust/debs" && quietly apt-get download "$package=$version")
        dpkg --fsys-tarfile "$oldest_rust/debs/$package"_*.deb |
            tar -x -C "$oldest_rust" --no-wildcards-match-slash --exclude='./usr/src/*/src' --exclude='./usr/src/*/compiler'
        touch "$oldest_rust/debs/$package"
    done
}

oldest() {
    LD_LIBRARY_PATH=$(echo "$oldest_rust"/usr/lib/*-linux-gnu) RUSTC=$oldest_rust/usr/bin/rustc \
        RUSTDOC=$oldest_rust/usr/bin/rustdoc "$oldest_rust/usr/bin/$1" "${@:2}"
}

unpack_oldest_rust
