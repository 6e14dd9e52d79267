// What producer and consumer have in common: the connection, and the compression that autorma writes with.

import kafkajs from "kafkajs";
import lz4 from "lz4js";

kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});

export const { Partitioners } = kafkajs;

/** A client of these brokers, which gives up after a while rather than never. */
export function connect(brokers) {
  return new kafkajs.Kafka({
    clientId: "node-example",
    brokers: brokers.split(","),
    logLevel: kafkajs.logLevel.ERROR,
    retry: { retries: 8 },
  });
}

/** The flags that both understand. */
export const flags = {
  brokers: { type: "string", default: "127.0.0.1:9092" },
  prefix: { type: "string", default: "" },
};
