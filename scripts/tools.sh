#!/bin/sh
# Looks for the tools that the build needs, says which one is missing and how to install it, and fetches CMake into
# target/tools where there is none.
set -eu
cd "$(dirname "$0")/.."

missing=0
need() {
    command -v "$1" >/dev/null 2>&1 && return
    echo "$1 is missing: $2" >&2
    missing=1
}
need cargo "install Rust 1.92 or newer, with rustup"
need cc "install a C compiler (on Debian: apt-get install build-essential)"
need python3 "install Python 3 (on Debian: apt-get install python3 python3-pip)"
[ "$missing" = 0 ] || exit 1
if ! python3 -m pip --version >/dev/null 2>&1; then
    echo "pip is missing: install it (on Debian: apt-get install python3-pip)" >&2
    exit 1
fi

cmake=target/tools/cmake
if ! command -v cmake >/dev/null 2>&1 && [ ! -x "$cmake/cmake/data/bin/cmake" ]; then
    echo "fetching CMake"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --target "$cmake" --requirement scripts/cmake.requirements.txt
fi
if ! command -v nasm >/dev/null 2>&1; then
    echo "nasm is missing: JPEGs are decoded without SIMD, which is slower (on Debian: apt-get install nasm)" >&2
fi
