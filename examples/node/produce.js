#!/usr/bin/env node
// Sends photos to autorma: one image event each, by reference or, with --inline, with the file in the event.

import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { encodeImageEvent } from "./events.js";
import { Partitioners, connect, flags } from "./kafka.js";

const sha256 = (content) => createHash("sha256").update(content).digest("hex");

function imageEvent(photo, inline, attributes) {
  const content = readFileSync(photo);
  const name = basename(photo);
  const uri = inline ? null : pathToFileURL(resolve(photo)).href;
  const hash = sha256(content);
  return {
    // The same photo at the same place always has the same id: sent twice, it counts once in its run.
    event_id: sha256(`${uri ?? `node:${name}`}\0${hash}`).slice(0, 32),
    run_id: null,
    sequence: 0,
    source: "node-example",
    name,
    uri,
    bytes: inline ? content : null,
    sha256: hash,
    length: content.length,
    seen_at: Date.now() * 1000,
    attributes,
  };
}

function message(event) {
  const traceparent = `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01`;
  return { key: event.event_id, value: encodeImageEvent(event), headers: { traceparent } };
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...flags,
      topic: { type: "string", default: "images" },
      inline: { type: "boolean", default: false },
      attribute: { type: "string", multiple: true, default: [] },
    },
  });
  if (positionals.length === 0) {
    throw new Error("usage: produce.js [--brokers …] [--prefix …] [--properties FILE] [--topic …] [--inline] [--attribute NAME=VALUE]… PHOTO…");
  }
  const attributes = Object.fromEntries(values.attribute.map((text) => text.split(/=(.*)/s, 2)));
  // The partitioner of Kafka's own clients; the default of acks is "all".
  const producer = connect(values).producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  try {
    for (const photo of positionals) {
      const event = imageEvent(photo, values.inline, attributes);
      const [stored] = await producer.send({ topic: values.prefix + values.topic, messages: [message(event)] });
      console.log(`${event.event_id} ${stored.topicName}-${stored.partition}@${stored.baseOffset}`);
    }
  } finally {
    await producer.disconnect();
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
