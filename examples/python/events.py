"""autorma's events as bytes: Avro single-object encoding with the schemas of this repository."""

import io
import json
import pathlib

import fastavro

_SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "schemas/avro"
_MARKER = b"\xc3\x01"
_HEADER = 10


def _load(path):
    schema = fastavro.parse_schema(json.loads(path.read_text()))
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    return bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")), schema


# Every version, by fingerprint, which is what the bytes of an event begin with.
_BY_FINGERPRINT = dict(map(_load, sorted(_SCHEMAS.glob("*/*.avsc"))))
_IMAGE_EVENT = _load(_SCHEMAS / "v1/image_event.avsc")


def encode_image_event(event):
    """An image event, a dict, as the value of a record."""
    fingerprint, schema = _IMAGE_EVENT
    buffer = io.BytesIO(_MARKER + fingerprint)
    buffer.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(buffer, schema, event, strict_allow_default=True)
    return buffer.getvalue()


def decode(value):
    """Any event of autorma as a dict: the fingerprint in its first bytes says its schema. ValueError if it is none."""
    schema = _BY_FINGERPRINT.get(value[2:_HEADER]) if value is not None else None
    if schema is None or value[:2] != _MARKER:
        raise ValueError("this isn't an event in a schema that is known here")
    try:
        return fastavro.schemaless_reader(io.BytesIO(value[_HEADER:]), schema, None)
    except Exception as error:
        # What ends too early or was damaged: the reader says what it has stumbled over, in many ways.
        raise ValueError(f"this is no whole event: {error!r}") from error


def to_json(event):
    """An event as a line of JSON; times become ISO 8601, bytes only their number."""

    def other(value):
        return f"{len(value)} bytes" if isinstance(value, bytes) else value.isoformat()

    return json.dumps(event, default=other, ensure_ascii=False)
