#!/bin/sh
# Makes target/backbone/efficientnet-lite.onnx, on which `autorma train` builds, from the published weights. Everything
# is pinned by hash: the packages, the weights, and what must come out.
set -eu
cd "$(dirname "$0")/../.."
backbone=target/backbone/efficientnet-lite.onnx
here=models/build

# Made anew when what makes it has changed.
stamp=$(cat "$here/backbone.requirements.txt" "$here/backbone.py" "$here/graph.py" "$here/weights.py" | sha256sum | cut -c1-64)
if [ -f "$backbone" ] && [ "$(cat target/backbone/stamp 2>/dev/null)" = "$stamp" ]; then exit 0; fi

mkdir -p target/backbone
echo "converting the backbone"
scripts/venv.sh backbone "$here/backbone.requirements.txt"
PYTHONDONTWRITEBYTECODE=1 target/tools/backbone/venv/bin/python "$here/backbone.py" "$backbone"
echo "$stamp" >target/backbone/stamp
