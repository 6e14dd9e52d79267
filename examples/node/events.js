// autorma's events as bytes: Avro single-object encoding with the schemas of this repository.

import { readFileSync, readdirSync } from "node:fs";
import avro from "avsc";

const schemas = new URL("../../schemas/avro/", import.meta.url);
const marker = Buffer.from([0xc3, 0x01]);
const header = 10;

// CRC-64-AVRO, which names a schema by its canonical form.
const empty = 0xc15d213aa4d7a795n;
const table = Array.from({ length: 256 }, (_, byte) => {
  let entry = BigInt(byte);
  for (let bit = 0; bit < 8; bit++) entry = (entry >> 1n) ^ (entry & 1n ? empty : 0n);
  return entry;
});

function fingerprint(type) {
  let crc = empty;
  for (const byte of Buffer.from(JSON.stringify(type.schema()))) {
    crc = (crc >> 8n) ^ table[Number((crc ^ BigInt(byte)) & 0xffn)];
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(crc);
  return bytes;
}

const load = (name) => avro.Type.forSchema(JSON.parse(readFileSync(new URL(name, schemas), "utf8")));
// Every version, by fingerprint, which is what the bytes of an event begin with.
const types = new Map(
  readdirSync(schemas)
    .flatMap((version) => readdirSync(new URL(`${version}/`, schemas)).map((name) => `${version}/${name}`))
    .map(load)
    .map((type) => [fingerprint(type).toString("hex"), type]),
);
const imageEvent = load("v1/image_event.avsc");
const imageEventHeader = Buffer.concat([marker, fingerprint(imageEvent)]);

/** An image event as the value of a record. */
export function encodeImageEvent(event) {
  return Buffer.concat([imageEventHeader, imageEvent.toBuffer(event)]);
}

/** Any event of autorma; its schema is found by the fingerprint in its first bytes. */
export function decode(value) {
  const type = types.get(value.subarray(2, header).toString("hex"));
  if (!value.subarray(0, 2).equals(marker) || !type) {
    throw new Error("this isn't an event in a schema that is known here");
  }
  return type.fromBuffer(value.subarray(header));
}

/** An event as a line of JSON; times are microseconds since 1970, of bytes only their number is said. */
export function toJson(event) {
  const other = (_, value) => (value?.type === "Buffer" ? `${value.data.length} bytes` : value);
  return JSON.stringify(event, other);
}
