// What the linters don't see: whether the names that the two files use are those of something that is there.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

import { DockerfileParser } from "dockerfile-ast";
import { parse } from "yaml";

const [composeFile, dockerfile] = process.argv.slice(2);
const problems = [];
const expect = (holds, problem) => holds || problems.push(problem);

const image = readImage(DockerfileParser.parse(readFileSync(dockerfile, "utf8")));
readCompose(parse(readFileSync(composeFile, "utf8"), { merge: true }));
problems.forEach((problem) => console.error(problem));
process.exitCode = problems.length ? 1 : 0;

function readImage(file) {
  const instructions = (keyword) => file.getInstructions().filter((it) => it.getKeyword() === keyword);
  const stages = instructions("FROM").map((it) => it.getBuildStage());
  const copied = [];
  for (const copy of instructions("COPY")) {
    const from = copy.getFlags().find((flag) => flag.getName() === "from")?.getValue();
    const places = copy.getArguments().map(String);
    copied.push(places.at(-1));
    if (from) expect(stages.includes(from), `${dockerfile}: no stage ${from} to copy from`);
    else for (const place of places.slice(0, -1)) expect(existsSync(place), `${dockerfile}: no ${place} to copy`);
  }
  for (const run of instructions("RUN")) {
    const flags = run.getFlags().map(String);
    const command = flags.reduce((text, flag) => text.replace(flag, ""), run.getRawArgumentsContent());
    try {
      execFileSync("sh", ["-n", "-c", command.replace(/^[\s\\]+/, "")], { stdio: "pipe" });
    } catch (error) {
      problems.push(`${dockerfile}: ${command}: ${error.stderr}`);
    }
  }
  const user = instructions("USER").at(-1)?.getArgumentsContent();
  expect(user && user !== "root" && user !== "0", `${dockerfile}: it runs as root`);
  const [health] = instructions("HEALTHCHECK");
  const script = /\["([^"]+)"/.exec(health?.getArgumentsContent() ?? "")?.[1];
  expect(copied.includes(script), `${dockerfile}: the health check runs ${script}, which nothing copies`);
  return { isChecked: Boolean(health) };
}

function readCompose({ services, volumes = {} }) {
  const hasHealth = (it) => (it.healthcheck ? !it.healthcheck.disable : it.build && image.isChecked);
  const slots = [];
  for (const [name, service] of Object.entries(services)) {
    const about = (problem) => `${composeFile}: ${name}: ${problem}`;
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      const found = services[other];
      expect(found, about(`there is no ${other} to depend on`));
      expect(condition !== "service_healthy" || hasHealth(found ?? {}), about(`${other} has no health check`));
    }
    for (const volume of service.volumes ?? []) {
      // `${PHOTOS:-photos}:/photos:ro`: what it is unless somebody says otherwise.
      const source = volume.replace(/\$\{\w+:-([^}]*)\}/, "$1").split(":")[0];
      const isPath = /^[./~]/.test(source);
      expect(isPath ? existsSync(source) : source in volumes, about(`there is no volume ${source}`));
    }
    if (service.build) expect(existsSync(service.build.dockerfile), about("there is no such Dockerfile"));
    const slot = service.command?.indexOf("--slot") ?? -1;
    if (slot >= 0) slots.push(service.command[slot + 1]);
  }
  expect(new Set(slots).size === slots.length, `${composeFile}: two classifiers have one slot`);
  expect(slots.length >= 2, `${composeFile}: there aren't two classifiers`);
}
