/* global performance */
/**
 * What a batch costs on each execution provider: L(batch), the curve by which one sees what batching
 * is worth on a device. Runs the session that weir serve runs, without a server.
 */
import { cpus } from "node:os";
import process from "node:process";
import { Command } from "commander";
import { Tensor } from "onnxruntime-node";
import { openSession } from "../dist/adapters/onnxruntime/open-session.js";
import { specsOf } from "../dist/adapters/onnxruntime/ort-tensor.js";
import { magikaRepository } from "../dist/adapters/toolchain/magika.js";
import { usableCores } from "../dist/adapters/system/usable-cores.js";
import { elementCount, numericArray } from "../dist/core/serving/tensor.js";
import { runProgram, say, wholeNumber } from "./command-line.mjs";

const BATCHES = [1, 2, 4, 8, 16, 32, 64, 128];
/** A size is run so often, or so long, in each round. */
const MAX_RUNS = 20;
const MAX_ROUND_MS = 1000;

const ORT_TYPES = {
  FP32: "float32",
  FP64: "float64",
  INT32: "int32",
  INT64: "int64",
  UINT8: "uint8",
};

const program = new Command("npm run bench:batch --")
  .description("Print what a batch costs, by size and execution provider.")
  .argument("[model]", "ONNX file whose inputs have the batch as their first axis; default: magika")
  .option("--providers <list...>", "lists of execution providers, such as cpu cuda,cpu", ["cpu"])
  .addOption(wholeNumber("--threads <count>", "that compute one run on the CPU; default: all"))
  .addOption(wholeNumber("--rounds <count>", "how often each is measured, in turns", 5));

async function main() {
  const { providers, rounds, threads } = program.parse().opts();
  const [file = await magikaFile()] = program.args;
  const intraOpThreads = threads ?? (await usableCores());
  const columns = [];
  for (const list of providers) {
    const executionProviders = list.split(",");
    const session = await openSession({ modelFile: file, executionProviders, intraOpThreads });
    columns.push({ list, session, ms: BATCHES.map(() => []) });
  }
  for (let round = -1; round < rounds; round += 1) {
    for (const [at, batch] of BATCHES.entries()) {
      for (const { session, ms } of columns) {
        const took = await fastestMs(session, batch);
        // The first round warms up.
        if (round >= 0) ms[at].push(took);
      }
    }
    say(`round ${round + 1} of ${rounds}`);
  }
  process.stdout.write(tableOf(file, intraOpThreads, columns));
}

async function fastestMs(session, batch) {
  const feeds = Object.fromEntries(
    specsOf(session.inputMetadata).map(({ name, datatype, shape }) => {
      const known = shape.map((size, axis) => (size === -1 ? (axis === 0 ? batch : 1) : size));
      const data = numericArray(datatype, elementCount(known));
      return [name, new Tensor(ORT_TYPES[datatype], data, known)];
    }),
  );
  let least = Infinity;
  const untilMs = performance.now() + MAX_ROUND_MS / BATCHES.length;
  for (let run = 0; run < MAX_RUNS && performance.now() < untilMs; run += 1) {
    const startedMs = performance.now();
    await session.run(feeds);
    least = Math.min(least, performance.now() - startedMs);
  }
  return least;
}

function tableOf(file, threads, columns) {
  const heads = columns.flatMap(({ list }) => [`${list}: ms`, `${list}: items/s`]);
  const rows = BATCHES.map((batch, at) => [
    batch,
    ...columns.flatMap(({ ms }) => {
      const median = ms[at].toSorted((a, b) => a - b)[Math.floor(ms[at].length / 2)];
      return [median.toFixed(3), Math.round((1000 * batch) / median)];
    }),
  ]);
  const line = (cells) => `| ${cells.join(" | ")} |\n`;
  return [
    `${file.split("/").slice(-3).join("/")}, ${threads} threads, ${cpus()[0].model}; the median of the fastest run of each round\n\n`,
    line(["batch", ...heads]),
    line(["---:", ...heads.map(() => "---:")]),
    ...rows.map(line),
  ].join("");
}

async function magikaFile() {
  const repository = await magikaRepository({ versions: ["v3"], onProgress: say });
  return `${repository}/magika/v3/model.onnx`;
}

await runProgram(main);
