#!/bin/sh
# Fetches ONNX Runtime's shared library, by version and hash, into target/onnxruntime.
set -eu
cd "$(dirname "$0")/.."

library=target/onnxruntime/libonnxruntime.so
pin=scripts/onnxruntime.requirements.txt
case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) platform=manylinux_2_28_x86_64 ;;
    Linux-aarch64) platform=manylinux_2_28_aarch64 ;;
    *) echo "autorma runs on Linux, x86-64 or ARM64, not on $(uname -s) $(uname -m)" >&2; exit 1 ;;
esac
# The pin is kept beside the library, with the platform: another one of either fetches again.
stamp=target/onnxruntime/pin
if [ -f "$library" ] && { echo "# $platform"; cat "$pin"; } | cmp -s - "$stamp"; then exit 0; fi
if ! python3 -m pip --version >/dev/null 2>&1; then
    echo "python3 with pip is missing: install it (on Debian: apt-get install python3-pip)" >&2
    exit 1
fi

mkdir -p target
work=$(mktemp -d target/fetch.XXXXXX)
trap 'rm -rf "$work"' EXIT
echo "fetching ONNX Runtime"
python3 -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
    --python-version 3.11 --platform "$platform" --dest "$work" --requirement "$pin"
python3 - "$work" <<'PYTHON'
import pathlib, sys, zipfile
work = pathlib.Path(sys.argv[1])
(wheel,) = work.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    (name,) = [name for name in archive.namelist() if "/libonnxruntime.so." in name]
    (work / "library").write_bytes(archive.read(name))
PYTHON
mkdir -p target/onnxruntime
rm -f "$stamp"
mv "$work/library" "$library"
{ echo "# $platform"; cat "$pin"; } >"$stamp"
