#!/bin/sh
# Checks compose.yaml and the Dockerfile as far as that goes without a container engine: see README.md beside this file.
# The linters are pinned in check/package-lock.json and are installed below target.
set -eu
cd "$(dirname "$0")/.."

command -v npm >/dev/null 2>&1 || { echo "npm is missing: install Node 20.19 or newer with npm" >&2; exit 1; }
tools=target/docker-check
mkdir -p "$tools"
if ! cmp -s docker/check/package-lock.json "$tools/installed"; then
    cp docker/check/package.json docker/check/package-lock.json docker/check/.npmrc "$tools"
    npm ci --silent --prefix "$tools"
    cp docker/check/package-lock.json "$tools/installed"
fi

compose=${COMPOSE_FILE:-docker/compose.yaml} dockerfile=${DOCKERFILE:-docker/Dockerfile}
# The Compose specification's schema is in this one.
node "$tools/node_modules/dclint/bin/dclint.cjs" --config docker/check/dclint.json --max-warnings 0 "$compose"
node "$tools/node_modules/dockerfile-utils/bin/dockerfile-utils" lint "$dockerfile"
# Modules are looked for beside the script that wants them.
cp docker/check/*.js "$tools"
node "$tools/check.js" "$compose" "$dockerfile"
