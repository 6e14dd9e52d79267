#!/bin/sh
# Looks for the tools that the build needs, says which one is missing and how to install it, and fetches CMake into
# target/tools where there is none. `tools.sh kafka` looks for what a Kafka on this machine needs, which is for tests and
# `make kafka` only.
set -eu
cd "$(dirname "$0")/.."

missing=0
need() {
    command -v "$1" >/dev/null 2>&1 && return
    echo "$1 is missing: $2" >&2
    missing=1
}
if [ "${1:-}" = kafka ]; then
    newest=0
    for java in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} java; do
        version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p') || continue
        [ "${version:-0}" -le "$newest" ] || newest=$version
    done
    if [ "$newest" -lt 17 ]; then
        echo "Java 17 or newer is missing: install it (on Debian: apt-get install openjdk-17-jre-headless, or" \
            "default-jre-headless)" >&2
        missing=1
    fi
    need mvn "install Maven (on Debian: apt-get install maven)"
    need openssl "install OpenSSL (on Debian: apt-get install openssl)"
    [ "$missing" = 0 ] || echo "these are for tests and for make kafka; make run does without them" >&2
    exit "$missing"
fi
need cargo "install Rust 1.92 or newer, with rustup"
need cc "install a C compiler (on Debian: apt-get install build-essential)"
need c++ "install a C++ compiler (on Debian: apt-get install build-essential)"
need pkg-config "install pkg-config (on Debian: apt-get install pkg-config)"
if command -v cc >/dev/null 2>&1 &&
    ! printf '#include <openssl/ssl.h>\n#include <zlib.h>\n' | cc -E - >/dev/null 2>&1; then
    echo "the headers of OpenSSL and zlib are missing: install them (on Debian: apt-get install libssl-dev zlib1g-dev)" >&2
    missing=1
fi
need python3 "install Python 3 (on Debian: apt-get install python3 python3-pip)"
[ "$missing" = 0 ] || exit 1
if ! python3 -m pip --version >/dev/null 2>&1; then
    echo "pip is missing: install it (on Debian: apt-get install python3-pip)" >&2
    exit 1
fi

place=target/tools/cmake
pin=scripts/cmake.requirements.txt
# The pin is in the folder, which appears whole: one that is half there, or of another pin, is fetched again.
fetch_cmake() {
    echo "fetching CMake"
    rm -rf "$place.new"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --target "$place.new" --requirement "$pin"
    cp "$pin" "$place.new/pin"
    rm -rf "$place"
    mv "$place.new" "$place"
}
# The machine's own one does, whichever it is.
case $(command -v cmake || true) in
    '' | */"$place"/*) cmp -s "$pin" "$place/pin" || fetch_cmake ;;
esac
if ! command -v nasm >/dev/null 2>&1; then
    echo "nasm is missing: JPEGs are decoded without SIMD, which is slower (on Debian: apt-get install nasm)" >&2
fi
