import { readFile } from "node:fs/promises";
import { DATATYPES } from "../../src/schema/model-manifest.js";
import { manifest, writeRepository } from "./model-repository.js";
import { identityModel, sumModel, tallyModel } from "./onnx-model.js";
import { installPython, runPython } from "./python-oracle.js";
import { startServe, type ServeProcess } from "./serve-process.js";

const TALLY_STATE = "sequence: { states: [{ input: state, output: next }] }";

export type TritonRun = {
  /** Everything that the script printed. */
  readonly seen: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  close(): Promise<void>;
};

/** Runs a script with the published client against a pod that echoes every datatype. */
export async function runTritonClient(
  script: string,
  addressOf: (server: ServeProcess) => string,
  moreFiles: Readonly<Record<string, string | Uint8Array>> = {},
): Promise<TritonRun> {
  const python = await installPython("tritonclient-2.51.0", ["tritonclient[http,grpc]==2.51.0"]);
  const echoes = DATATYPES.map((datatype): [string, Uint8Array] => [
    `${datatype.toLowerCase()}/1/model.onnx`,
    identityModel(datatype),
  ]);
  const repository = await writeRepository({
    ...Object.fromEntries(echoes),
    "wide/1/model.onnx": identityModel("FP32", "width"),
    "sum/1/model.onnx": sumModel(),
    "sum/model.yaml": manifest("maxBatchSize: 8", "maxQueueDelayMs: 1", "labels: [cat, dog]"),
    "tally/1/model.onnx": tallyModel(),
    "tally/model.yaml": manifest("maxBatchSize: 8", TALLY_STATE),
    ...moreFiles,
  });
  const server = await startServe({
    repository: repository.root,
    flags: ["--model-control", "explicit"],
  });
  const close = async () => {
    await server.stop();
    await repository.remove();
  };
  try {
    const text = await readFile(new URL(script, import.meta.url), "utf8");
    const seen = (await runPython(text, [addressOf(server)], [python])) as TritonRun["seen"];
    return { seen, close };
  } catch (error) {
    await close();
    throw error;
  }
}
