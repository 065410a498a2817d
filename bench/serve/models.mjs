/** The models that are compared, with requests and the answers they must get. */
import { execFile } from "node:child_process";
import { Buffer } from "node:buffer";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { cacheDirectory, exists } from "../../dist/adapters/toolchain/cache.js";
import { magikaRepository } from "../../dist/adapters/toolchain/magika.js";
import { messageType } from "../../dist/servers/inference-grpc/protocol.js";
import { pythonEnvironment, pythonFile } from "./python-programs.mjs";

/** Bodies of one item each, sent in turn. */
const BODIES = 64;

/**
 * @typedef {object} Model
 * @property {string} name
 * @property {string} file       the ONNX model
 * @property {number} openRate   requests per second of the open loop: every contender stands it
 * @property {{ name: string, datatype: string, width: number }} input
 * @property {{ name: string, width: number }} output
 * @property {readonly Float32Array[]} expected  by the runtime itself, without any server
 * @property {{ oip: string, litserve: string, grpc: string }} bodies  files with one a line
 * @property {string} firstBody  in the JSON of the Open Inference Protocol
 */

const MODELS = {
  tabular: {
    openRate: 700,
    input: { name: "x", datatype: "FP32", width: 64, random: (next) => (next() % 17) / 16 },
    output: { name: "probabilities", width: 10 },
    file: tabularFile,
  },
  magika: {
    openRate: 80,
    input: { name: "bytes", datatype: "INT32", width: 2048, random: (next) => next() % 256 },
    output: { name: "target_label", width: 214 },
    file: magikaFile,
  },
};
export const MODEL_NAMES = Object.keys(MODELS);

/**
 * @param {string} name
 * @param {string} folder  for the bodies
 * @returns {Promise<Model>}
 */
export async function prepareModel(name, folder, onProgress) {
  const { file: find, input, output, openRate } = MODELS[name];
  const file = await find(onProgress);
  const rows = randomRows(input);
  const bodies = {
    oip: join(folder, `${name}.oip.jsonl`),
    litserve: join(folder, `${name}.litserve.jsonl`),
    grpc: join(folder, `${name}.grpc.base64`),
  };
  const json = rows.map((row) => JSON.stringify(oipBody(input, row)));
  await writeFile(bodies.oip, json.join("\n"));
  await writeFile(bodies.litserve, rows.map((x) => JSON.stringify({ x })).join("\n"));
  await writeFile(bodies.grpc, rows.map((row) => grpcMessage(name, input, row)).join("\n"));
  const expected = await answersOf(file, input, output, rows);
  return { name, file, openRate, input, output, bodies, expected, firstBody: json[0] };
}

const oipBody = ({ name, datatype, width }, data) => ({
  inputs: [{ name, shape: [1, width], datatype, data }],
});

function grpcMessage(model, { name, datatype, width }, row) {
  const raw = Buffer.from(typedArray(datatype, row).buffer);
  const inputs = [{ name, datatype, shape: [1, width] }];
  const message = { model_name: model, inputs, raw_input_contents: [raw] };
  return messageType("ModelInferRequest").serialize(message).toString("base64");
}

const typedArray = (datatype, row) =>
  datatype === "FP32" ? Float32Array.from(row) : Int32Array.from(row);

/** The same in every run: a linear congruential generator (Numerical Recipes, chapter 7.1). */
function randomRows({ width, random }) {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
  return Array.from({ length: BODIES }, () => Array.from({ length: width }, () => random(next)));
}

async function answersOf(file, input, output, rows) {
  const session = await InferenceSession.create(file);
  const answers = [];
  for (const row of rows) {
    const data = typedArray(input.datatype, row);
    const tensor = new Tensor(input.datatype === "FP32" ? "float32" : "int32", data, [
      1,
      row.length,
    ]);
    const { [output.name]: answer } = await session.run({ [input.name]: tensor }, [output.name]);
    answers.push(answer.data);
  }
  return answers;
}

/** Trained once, with a fixed random state. */
async function tabularFile(onProgress) {
  const folder = join(cacheDirectory(), "bench-models");
  const file = join(folder, "tabular-64-128-10.onnx");
  if (await exists(file)) return file;
  const tools = await pythonEnvironment("tools", onProgress);
  await mkdir(folder, { recursive: true });
  const made = `${file}.${process.pid}`;
  await promisify(execFile)(join(tools, "bin", "python"), [pythonFile("make_tabular.py"), made]);
  await rename(made, file);
  return file;
}

async function magikaFile(onProgress) {
  const repository = await magikaRepository({ versions: ["v3"], onProgress });
  return join(repository, "magika", "v3", "model.onnx");
}
