#!/usr/bin/env node
// Prints what autorma says of photos, a line of JSON each. Ends after --count of them, or at Ctrl-C.

import { parseArgs } from "node:util";

import { decode, toJson } from "./events.js";
import { connect, flags } from "./kafka.js";

async function main() {
  const { values } = parseArgs({
    options: {
      ...flags,
      topic: { type: "string", default: "predictions" },
      group: { type: "string", default: "node-example" },
      count: { type: "string", default: "Infinity" },
      timeout: { type: "string", default: "60" },
    },
  });
  const wanted = Number(values.count);
  const topic = values.prefix + values.topic;
  // kafkajs reads only what was committed unless it is told otherwise.
  const consumer = connect(values).consumer({ groupId: values.prefix + values.group });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });

  let count = 0;
  const enough = new Promise((done, fail) => {
    process.once("SIGINT", done).once("SIGTERM", done);
    consumer.on(consumer.events.CRASH, ({ payload }) => fail(payload.error));
    if (wanted !== Infinity) {
      const late = () => fail(new Error(`only ${count} of ${wanted} records came in ${values.timeout} s`));
      setTimeout(late, Number(values.timeout) * 1000).unref();
    }
    const eachMessage = async ({ partition, message }) => {
      if (count >= wanted) return;
      try {
        console.log(toJson(decode(message.value)));
      } catch (error) {
        console.error(`${topic}-${partition}@${message.offset}: ${error.message}`);
      }
      // After the work: killed in between, it does the record again, and loses none.
      const offset = (BigInt(message.offset) + 1n).toString();
      await consumer.commitOffsets([{ topic, partition, offset }]);
      count += 1;
      if (count >= wanted) done();
    };
    consumer.run({ autoCommit: false, eachMessage }).catch(fail);
  });
  try {
    await enough;
  } finally {
    await consumer.disconnect();
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
