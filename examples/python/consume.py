#!/usr/bin/env python3
"""Prints what autorma says of photos, a line of JSON each. Ends after --count of them, or at Ctrl-C."""

import argparse
import sys
import time

from confluent_kafka import Consumer, KafkaException

import connection
from events import decode, to_json


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    connection.add_flags(parser)
    parser.add_argument("--topic", default="predictions", help="dead-letters is another")
    parser.add_argument("--group", default="python-example", help="each group gets every record")
    parser.add_argument("--count", type=int, help="end after so many records")
    parser.add_argument("--timeout", type=float, default=60, help="give up when --count aren't there by then, seconds")
    arguments = parser.parse_args()

    # read_committed: what a killed classifier left half-done is never seen.
    consumer = Consumer({
        **connection.properties(arguments),
        "group.id": arguments.prefix + arguments.group,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    })
    consumer.subscribe([arguments.prefix + arguments.topic])
    count, deadline = 0, time.monotonic() + arguments.timeout
    try:
        while arguments.count is None or count < arguments.count:
            if arguments.count is not None and time.monotonic() > deadline:
                sys.exit(f"only {count} of {arguments.count} records came in {arguments.timeout:g} s")
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error():
                raise KafkaException(message.error())
            try:
                print(to_json(decode(message.value())), flush=True)
            except ValueError as error:
                place = f"{message.topic()}-{message.partition()}@{message.offset()}"
                print(f"{place}: {error}", file=sys.stderr)
            # After the work: killed in between, it does the record again, and loses none.
            consumer.commit(message, asynchronous=False)
            count += 1
    except KafkaException as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
