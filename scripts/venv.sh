#!/bin/sh
# scripts/venv.sh NAME REQUIREMENTS: a Python in target/tools/NAME/venv with what is required, which names everything by
# its hash. Made anew when that changes, or when the Python that it was made with is gone. One process makes it, the
# others wait.
set -eu
cd "$(dirname "$0")/.."
place=target/tools/$1
requirements=$2

mkdir -p "$place"
exec 9>"$place/lock"
flock 9
# pip is there unless the machine's Python is another one by now.
if cmp -s "$requirements" "$place/stamp" && "$place/venv/bin/python" -c 'import pip' >/dev/null 2>&1; then exit 0; fi
rm -f "$place/stamp"
"${PYTHON:-python3}" -m venv --clear "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: \
    --requirement "$requirements"
cp "$requirements" "$place/stamp"
