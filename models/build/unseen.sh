#!/bin/sh
# How a class fares at home of which the model has seen studio photos only: trains by recipe.toml without the home photos of
# footwear, and judges the home photos of casual shoes. `make model` first: what that has computed is used.
#   models/build/unseen.sh [PHOTOS]
set -eu
photos=$(cd "${1:-$(dirname "$0")/../../../shared/data}" && pwd)
cd "$(dirname "$0")/../.."
work=target/unseen
mkdir -p "$work" && rm -rf "$work/home" "$work/shoes"
cp -r "$photos/home" "$work/home" && chmod -R u+w "$work/home"
mkdir "$work/shoes" && mv "$work/home/casual_shoes" "$work/shoes/casual_shoes"
rm -r "$work/home/other/footwear"
cp target/model/features-*.bin "$work/"
target/release/autorma train --data "$photos/fashion" --data "$work/home" --other "$photos/other" \
    --backgrounds "$photos/backgrounds" --config models/build/recipe.toml --output "$work"
target/release/autorma evaluate --model "$work/model" --data "$work/shoes"
