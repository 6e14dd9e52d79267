"""How the examples reach the brokers: flags that all have, and librdkafka's properties from them."""

import pathlib


def add_flags(parser):
    parser.add_argument("--brokers", default="127.0.0.1:9092")
    parser.add_argument("--prefix", default="", help="what the names of the topics begin with (log.kafka.prefix)")
    parser.add_argument(
        "--properties", type=pathlib.Path, metavar="FILE",
        help="further properties of librdkafka, NAME=VALUE a line: those of TLS and passwords, for example",
    )


def properties(arguments):
    return {"bootstrap.servers": arguments.brokers, "client.id": "python-example", **_read(arguments.properties)}


def _read(file):
    if file is None:
        return {}
    lines = (line.strip() for line in file.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}
