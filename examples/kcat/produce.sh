#!/bin/sh
# Sends photos to autorma with kcat and nothing else: an image event is simple enough to be written by a shell.
set -eu

brokers=127.0.0.1:9092 prefix='' properties='' topic=images
usage="usage: produce.sh [--brokers HOST:PORT] [--prefix PREFIX] [--properties FILE] [--topic TOPIC] PHOTO..."
has_value() { [ $# -gt 1 ] || { echo "$usage" >&2; exit 2; }; }
while [ $# -gt 0 ]; do
    case "$1" in
        --brokers) has_value "$@"; brokers=$2; shift 2 ;;
        --prefix) has_value "$@"; prefix=$2; shift 2 ;;
        --properties) has_value "$@"; properties=$2; shift 2 ;;
        --topic) has_value "$@"; topic=$2; shift 2 ;;
        --help) echo "$usage"; exit 0 ;;
        -*) echo "$usage" >&2; exit 2 ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] || { echo "$usage" >&2; exit 2; }

# Avro: a number is doubled (an odd one would be negative) and written in groups of seven bits; a text is its length
# and its bytes; a choice is its number and what was chosen.
byte() { printf "\\$(printf %03o "$1")"; }
long() {
    n=$(($1 * 2))
    while [ "$n" -ge 128 ]; do byte $((n & 127 | 128)); n=$((n >> 7)); done
    byte "$n"
}
text() { long "$(printf %s "$1" | wc -c)"; printf %s "$1"; }

event() {
    printf '\303\001\363\324\246\344\112\255\263\207' # a single object in the schema image_event.avsc
    text "$2"                                         # event_id
    long 0                                            # run_id: none, the sink's own run takes it
    long 0                                            # sequence: not numbered
    text kcat-example                                 # source
    text "${1##*/}"                                   # name
    long 0                                            # uri: none, the bytes are here
    long 1; long "$4"; cat "$1"                       # bytes
    text "$3"                                         # sha256
    long "$4"                                         # length
    long "$(date +%s)000000"                          # seen_at, microseconds
    long 1; text host; text "$(uname -n)"; long 0     # attributes: one, and no more
}

work=$(mktemp)
trap 'rm -f "$work"' EXIT
for photo in "$@"; do
    length=$(wc -c <"$photo")
    sha256=$(sha256sum <"$photo" | cut -c 1-64)
    id=$(printf 'kcat:%s %s' "${photo##*/}" "$sha256" | sha256sum | cut -c 1-32)
    event "$photo" "$id" "$sha256" "$length" >"$work"
    # A file that is named is one record. kcat fails if it isn't acknowledged.
    kcat ${properties:+-F "$properties"} -P -b "$brokers" -t "$prefix$topic" -k "$id" -X enable.idempotence=true \
        -X topic.partitioner=murmur2_random -X message.timeout.ms=30000 -X message.max.bytes=16777216 "$work"
    echo "$id ${photo##*/}"
done
