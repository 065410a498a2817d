import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { constantModel, identityModel, sumModel } from "../support/onnx-model.js";
import { postJson, startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

/** both = (a + b) twice: through a model, and as it is. */
const ENSEMBLE = manifest(
  "maxBatchSize: 64",
  "ensemble:",
  "  steps:",
  "    - { model: echo, inputs: { x: total }, outputs: { y: echoed } }",
  "    - { model: sum, version: stable, inputs: { a: left, b: right }, outputs: { sum: total } }",
  "inputs:",
  "  - { name: left, datatype: FP32, shape: [-1, 2] }",
  "  - { name: right, datatype: FP32, shape: [-1, 2] }",
  "outputs:",
  "  - { name: echoed, datatype: FP32, shape: [-1, 2] }",
  "  - { name: total, datatype: FP32, shape: [-1, 2] }",
);

/** Doubles what it gets, and refuses negative values. */
const PROGRAM = `
export function run({ x }) {
  if (x.data.some((value) => value < 0)) throw new Error("x must not be negative");
  return { y: { datatype: "FP32", shape: x.shape, data: x.data.map((value) => 2 * value) } };
}
`;
const PROGRAM_MANIFEST = manifest(
  "maxBatchSize: 8",
  "program: double.js",
  "inputs: [{ name: x, datatype: FP32, shape: [-1, 2] }]",
  "outputs: [{ name: y, datatype: FP32, shape: [-1, 2] }]",
);

let repository: Repository;
let server: ServeProcess;

beforeAll(async () => {
  repository = await writeRepository({
    "sum/1/model.onnx": sumModel(),
    "sum/model.yaml": manifest("maxBatchSize: 8", "versionLabels: { stable: '1' }"),
    "echo/1/model.onnx": identityModel(),
    "echo/model.yaml": manifest("maxBatchSize: 8"),
    "both/model.yaml": ENSEMBLE,
    "double/double.js": PROGRAM,
    "double/model.yaml": PROGRAM_MANIFEST,
    "doubled-sum/model.yaml": manifest(
      "maxBatchSize: 8",
      "ensemble:",
      "  steps:",
      "    - { model: sum, inputs: { a: left, b: right }, outputs: { sum: total } }",
      "    - { model: double, inputs: { x: total }, outputs: { y: twice } }",
      "inputs:",
      "  - { name: left, datatype: FP32, shape: [-1, 2] }",
      "  - { name: right, datatype: FP32, shape: [-1, 2] }",
      "outputs: [{ name: twice, datatype: FP32, shape: [-1, 2] }]",
    ),
  });
  server = await startServe({
    ...{ repository: repository.root, flags: ["--model-control", "explicit"] },
  });
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
  await repository.remove();
});

const ask = (rows: number, from = 0, model = "both", names = ["left", "right"]) => {
  const data = Array.from({ length: 2 * rows }, (_, at) => from + at);
  const inputs = names.map((name) => ({ name, shape: [rows, 2], datatype: "FP32", data }));
  return postJson(`${server.url}/v2/models/${model}/infer`, { inputs });
};
const change = (model: string, what: "load" | "unload") =>
  postJson(`${server.url}/v2/repository/models/${model}/${what}`, {});

test("an ensemble answers as its steps do, in batches of everybody's requests", async () => {
  const answers = await Promise.all(Array.from({ length: 40 }, (_, at) => ask(1, at)));
  for (const [at, { status, body }] of answers.entries()) {
    const data = [2 * at, 2 * (at + 1)];
    expect(status).toBe(200);
    expect(body).toMatchObject({ model_name: "both", model_version: "1" });
    expect(body.outputs?.map(({ name }) => name)).toEqual(["echoed", "total"]);
    expect(body.outputs?.map((output) => output.data)).toEqual([data, data]);
  }
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text();
  expect(metrics).toMatch(/weir_batch_size_sum\{model="echo",version="1"\} 40/);
  expect(metrics).toMatch(/weir_predictions_total\{model="both",version="1",status="200"\} 40/);
});

test("a request of more items than a step's batch is answered whole", async () => {
  const { body } = await ask(50);
  expect(body.outputs?.[0]).toMatchObject({
    ...{ shape: [50, 2], data: Array.from({ length: 100 }, (_, at) => 2 * at) },
  });
});

test("a program is a model, and a step: its batches too have only their poison refused", async () => {
  const answers = await Promise.all([
    ...Array.from({ length: 15 }, (_, at) => ask(1, at, "double", ["x"])),
    ask(1, -9, "double", ["x"]),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([...Array<number>(15).fill(200), 400]);
  expect(answers.at(3)?.body.outputs).toMatchObject([{ name: "y", data: [6, 8] }]);
  expect(answers.at(-1)?.body.error).toMatch(/refused its inputs: x must not be negative/);
  const { body } = await ask(1, 5, "doubled-sum");
  expect(body.outputs).toMatchObject([{ name: "twice", data: [20, 24] }]);
});

test("what is wrong with the request is said of the ensemble, before any step runs", async () => {
  const input = { name: "left", shape: [1, 2], datatype: "FP32", data: [1, 2] };
  const { status, body } = await postJson(`${server.url}/v2/models/both/infer`, {
    inputs: [input],
  });
  expect([status, body.error]).toEqual([400, 'input "right" of model both/1 is missing']);
});

test("metadata and configuration name it an ensemble of its steps", async () => {
  const read = async (path: string) => (await fetch(`${server.url}/v2/models/both${path}`)).json();
  expect(await read("")).toMatchObject({ name: "both", platform: "ensemble", versions: ["1"] });
  expect(await read("/config")).toMatchObject({
    platform: "ensemble",
    ensemble_scheduling: {
      step: [
        { model_name: "sum", input_map: { a: "left", b: "right" }, output_map: { sum: "total" } },
        { model_name: "echo", input_map: { x: "total" }, output_map: { y: "echoed" } },
      ],
    },
  });
});

test("a step's model is not taken away, nor replaced by one that does not fit", async () => {
  const unloaded = await change("echo", "unload");
  expect([unloaded.status, unloaded.body.error]).toEqual([
    409,
    "model echo is a step of ensemble both: unload that first",
  ]);
  const file = join(repository.root, "echo", "1", "model.onnx");
  await rename(file, `${file}.before`);
  await writeFile(file, constantModel(1));
  const loaded = await change("echo", "load");
  expect([loaded.status, loaded.body.error]).toEqual([
    400,
    expect.stringMatching(/total FP32 \[-1,2\] goes to step echo, which takes x FP32 \[-1,1\]/),
  ]);
  expect((await ask(1)).status).toBe(200);
  await rename(`${file}.before`, file);
  expect((await change("echo", "load")).status).toBe(200);
  expect((await change("both", "unload")).status).toBe(200);
  expect((await change("echo", "unload")).status).toBe(200);
  expect((await change("both", "load")).body.error).toMatch(/step echo: there is no such model/);
  expect((await change("echo", "load")).status).toBe(200);
  expect((await change("both", "load")).status).toBe(200);
  expect((await ask(1)).status).toBe(200);
});

const ENDS =
  "inputs: [{ name: a, datatype: FP32, shape: [1] }]\noutputs: [{ name: b, datatype: FP32, shape: [1] }]";

test.each([
  ["program: none.js", /program has no model file that tells its inputs: add inputs/],
  [`${ENDS}\nprogram: none.js`, /none\.js exports no function run/],
  [`${ENDS}\nprogram: absent.js`, /program: .*absent\.js is no file/],
  [`${ENDS}\nprogram: ../up.js`, /must name a \.js file in the model's folder/],
  [`${ENDS}\nprogram: wrong.js`, /run of .*wrong\.js must return tensors by name; b is no/],
  [`${ENDS}\nprogram: none.js\npipeline: wrong.js`, /leave pipeline out/],
  ["ensemble: { steps: [] }", /ensemble\.steps/],
  [
    "ensemble: { steps: [{ model: sum, inputs: {}, outputs: {} }] }",
    /ensemble has no model file that tells its inputs: add inputs/,
  ],
  [
    `${ENDS}\npipeline: p.js\nensemble: { steps: [{ model: sum, inputs: {}, outputs: {} }] }`,
    /takes tensors: leave pipeline out/,
  ],
  [
    `${ENDS}\nensemble: { steps: [{ model: sum, inputs: {}, outputs: {} }] }`,
    /output b is given by no step/,
  ],
  [
    `${ENDS}\nensemble: { steps: [{ model: nope, inputs: { x: a }, outputs: { y: b } }] }`,
    /ensemble broken: step nope: there is no such model here/,
  ],
])("a start with a broken ensemble or program is refused: %s", async (lines, message) => {
  const broken = await writeRepository({
    "broken/model.yaml": manifest(lines),
    "broken/wrong.js": "export const run = () => ({ b: 7 });",
    "broken/none.js": "",
  });
  await expect(startServe({ repository: broken.root })).rejects.toThrow(message);
  await broken.remove();
});
