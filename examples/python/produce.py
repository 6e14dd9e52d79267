#!/usr/bin/env python3
"""Sends photos to autorma: one image event each, by reference or, with --inline, with the file in the event."""

import argparse
import datetime
import hashlib
import pathlib
import secrets
import sys

from confluent_kafka import KafkaException, Producer

import connection
from events import encode_image_event


def image_event(photo, inline, attributes):
    content = photo.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    uri = None if inline else photo.as_uri()
    # The same photo at the same place always has the same id: sent twice, it counts once in its run.
    place = f"python:{photo.name}" if inline else uri
    return {
        "event_id": hashlib.sha256(f"{place}\0{sha256}".encode()).hexdigest()[:32],
        "source": "python-example",
        "name": photo.name,
        "uri": uri,
        "bytes": content if inline else None,
        "sha256": sha256,
        "length": len(content),
        "seen_at": datetime.datetime.now(datetime.timezone.utc),
        "attributes": attributes,
    }


def produce(producer, *arguments, **named):
    """Hands a record over. While there is no room, others are being delivered, or given up after their time."""
    while True:
        try:
            return producer.produce(*arguments, **named)
        except BufferError:
            producer.poll(0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=pathlib.Path)
    connection.add_flags(parser)
    parser.add_argument("--topic", default="images")
    parser.add_argument("--inline", action="store_true", help="put the files into the events")
    parser.add_argument("--attribute", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    arguments = parser.parse_args()
    attributes = dict(text.partition("=")[::2] for text in arguments.attribute)

    # Idempotent and acknowledged by all: what was reported as delivered is there, once.
    producer = Producer({
        # What the topic takes that `autorma topics create` makes; librdkafka's own limit is 1 MB.
        "message.max.bytes": 16_777_216,
        **connection.properties(arguments),
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "delivery.timeout.ms": 30_000,
    })
    failures = []

    def delivered(error, message):
        if error is None:
            print(message.key().decode(), f"{message.topic()}-{message.partition()}@{message.offset()}")
        else:
            failures.append(f"{message.key().decode()}: {error}")

    for photo in arguments.photos:
        try:
            event = image_event(photo.resolve(), arguments.inline, attributes)
            produce(
                producer,
                arguments.prefix + arguments.topic,
                key=event["event_id"],
                value=encode_image_event(event),
                headers={"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"},
                on_delivery=delivered,
            )
        except (OSError, KafkaException) as error:
            failures.append(f"{photo}: {error}")
        producer.poll(0)
    producer.flush()
    for failure in failures:
        print(failure, file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
