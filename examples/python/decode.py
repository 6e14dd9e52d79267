#!/usr/bin/env python3
"""Events from standard input, each behind its length in four bytes (kcat -f '%R%s'), as lines of JSON."""

import struct
import sys

from events import decode, to_json


def main():
    while head := sys.stdin.buffer.read(4):
        (length,) = struct.unpack(">i", head)
        try:
            # A record without a value has the length -1.
            value = sys.stdin.buffer.read(length) if length >= 0 else None
            print(to_json(decode(value)), flush=True)
        except ValueError as error:
            print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
