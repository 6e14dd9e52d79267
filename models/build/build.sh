#!/bin/sh
# Builds models/shipped from the backbone's published weights and the photos.
#   models/build/build.sh [--data ../shared/data] [--out models/shipped]
set -eu
cd "$(dirname "$0")/../.."
work=target/model-build
here=models/build
python=${PYTHON:-python3}
mkdir -p "$work"

# The environment is made anew when the requirements change.
stamp=$(cat "$here/requirements.txt" "$here/backbone.requirements.txt" | sha256sum | cut -c1-64)
if [ "$(cat "$work/venv/stamp" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$work/venv"
    "$python" -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet --require-hashes --only-binary=:all: -r "$here/requirements.txt"
    echo "$stamp" >"$work/venv/stamp"
fi

# Another number of threads adds up in another order: a fixed one gives the same bytes on every run.
export OPENBLAS_NUM_THREADS=2 PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
exec "$work/venv/bin/python" "$here/build.py" --cache "$work" "$@"
