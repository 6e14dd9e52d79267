#!/bin/bash
# Prints what is in a topic of autorma so far, one line a record: where it stands, its key and its size. With --json,
# what is in the records; that takes the Python of ../python, which PYTHON names.
# A broker that is away must not look like a topic with nothing in it: hence pipefail, and bash.
set -euo pipefail

brokers=127.0.0.1:9092 prefix='' properties='' topic=predictions json=
usage="usage: consume.sh [--brokers HOST:PORT] [--prefix PREFIX] [--properties FILE] [--topic TOPIC] [--json]"
has_value() { [ $# -gt 1 ] || { echo "$usage" >&2; exit 2; }; }
while [ $# -gt 0 ]; do
    case "$1" in
        --brokers) has_value "$@"; brokers=$2; shift 2 ;;
        --prefix) has_value "$@"; prefix=$2; shift 2 ;;
        --properties) has_value "$@"; properties=$2; shift 2 ;;
        --topic) has_value "$@"; topic=$2; shift 2 ;;
        --json) json=1; shift ;;
        --help) echo "$usage"; exit 0 ;;
        *) echo "$usage" >&2; exit 2 ;;
    esac
done

# read_committed: what a killed classifier left half-done is never seen. -e ends at the end of the topic.
consume() {
    kcat ${properties:+-F "$properties"} -C -q -e -b "$brokers" -t "$prefix$topic" -o beginning \
        -X isolation.level=read_committed -f "$1"
}
if [ -z "$json" ]; then
    consume '%t-%p@%o %k %S bytes\n'
else
    consume '%R%s' | "${PYTHON:-python3}" "$(dirname "$0")/../python/decode.py"
fi
