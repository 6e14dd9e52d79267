// What producer and consumer have in common: the connection, and the compression that autorma writes with.

import { readFileSync } from "node:fs";

import kafkajs from "kafkajs";
import lz4 from "lz4js";

kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});

export const { Partitioners } = kafkajs;

/** A client of the brokers that the flags name, which gives up after a while rather than never. */
export function connect({ brokers, properties }) {
  return new kafkajs.Kafka({
    ...security(properties),
    clientId: "node-example",
    brokers: brokers.split(","),
    logLevel: kafkajs.logLevel.ERROR,
    retry: { retries: 8 },
  });
}

/** What kafkajs wants to know for TLS and passwords, from a file of librdkafka's properties. */
function security(file) {
  if (file === undefined) return {};
  const lines = readFileSync(file, "utf8").split("\n").filter((line) => line.trim() && !line.startsWith("#"));
  const all = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s, 2).map((text) => text.trim())));
  const protocol = (all["security.protocol"] ?? "plaintext").toLowerCase();
  const ca = all["ssl.ca.location"];
  const sasl = {
    mechanism: (all["sasl.mechanism"] ?? all["sasl.mechanisms"] ?? "plain").toLowerCase(),
    username: all["sasl.username"],
    password: all["sasl.password"],
  };
  return {
    ...(protocol.endsWith("ssl") && { ssl: ca === undefined ? true : { ca: [readFileSync(ca)] } }),
    ...(protocol.startsWith("sasl") && { sasl }),
  };
}

/** The flags that both understand. */
export const flags = {
  brokers: { type: "string", default: "127.0.0.1:9092" },
  prefix: { type: "string", default: "" },
  properties: { type: "string" },
};
