/* global console, performance, URL */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import process from "node:process";
import { InferenceSession, Tensor } from "onnxruntime-node";

/**
 * Writes the profile of a model for the simulator:
 * node bench/measure-profile.mjs NAME model.onnx TYPE "N,2048" [lengths] [sizes]
 * In the shape, N is the batch and L the length of an item. Rounds take turns, and the median counts.
 */
const [name, file, type, shape, lengthList = "1", sizeList = "1,2,3,4,6,8,12,16,24,32"] =
  process.argv.slice(2);
const ROUNDS = Number(process.env["ROUNDS"] ?? 25);

const session = await InferenceSession.create(file, {
  ...{ intraOpNumThreads: cpus().length, interOpNumThreads: 1 },
  extra: { session: { intra_op: { allow_spinning: "0" } } },
});
const [input] = session.inputNames;
const ARRAYS = { float32: Float32Array, int32: Int32Array };
const cells = lengthList.split(",").flatMap((length) =>
  sizeList.split(",").map((size) => {
    const axes = shape.split(",").map((axis) => {
      return axis === "N" ? Number(size) : axis === "L" ? Number(length) : Number(axis);
    });
    const count = axes.reduce((product, axis) => product * axis, 1);
    const data = ARRAYS[type].from({ length: count }, (_, index) => (index * 7919) % 251);
    const feeds = { [input]: new Tensor(type, data, axes) };
    return { items: Number(size), length: Number(length), feeds, times: [] };
  }),
);
for (let round = -2; round < ROUNDS; round += 1) {
  for (const { feeds, times } of cells) {
    const startedAtMs = performance.now();
    await session.run(feeds);
    if (round >= 0) times.push(performance.now() - startedAtMs);
  }
}
const rounded = (ms) => Number(ms.toPrecision(4));
const points = cells.map(({ items, length, times }) => {
  const sorted = times.sort((a, b) => a - b);
  const at = (share) => rounded(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
  return { items, length, ms: at(0.5), p75Ms: at(0.75) };
});
const machine = `${cpus().length} x ${cpus()[0]?.model ?? "CPU"}, Node ${process.version}`;
const lines = points.map((point) => `    ${JSON.stringify(point)}`).join(",\n");
const json = `{\n  "model": ${JSON.stringify(name)},\n  "machine": ${JSON.stringify(machine)},\n  "points": [\n${lines}\n  ]\n}\n`;
writeFileSync(new URL(`profiles/${name}.json`, import.meta.url), json);
console.table(points);
