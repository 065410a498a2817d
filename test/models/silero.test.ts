import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fetchPythonPackage } from "../../src/adapters/toolchain/python-package.js";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { postJson, startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

/** Voice activity detection with a recurrent state; 16 kHz, 32 ms a step after 4 ms of the last. */
const SILERO = {
  name: "silero-vad",
  version: "6.2.3",
  platform: "any",
  sha256: "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
};
const SAMPLES = 576;
const STEPS = 12;

let repository: Repository;
let server: ServeProcess;
let reference: InferenceSession;

beforeAll(async () => {
  const wheel = await fetchPythonPackage(SILERO);
  repository = await writeRepository({
    "silero/model.yaml": manifest(
      "sequence: { states: [{ input: state, output: stateN, shape: [2, 1, 128] }] }",
      "warmUp: { shapes: { input: [1, 576] } }",
    ),
  });
  const model = join(repository.root, "silero", "6", "model.onnx");
  await mkdir(join(repository.root, "silero", "6"));
  await copyFile(join(wheel, "silero_vad", "data", "silero_vad_16k_op15.onnx"), model);
  server = await startServe({ repository: repository.root });
  reference = await InferenceSession.create(model, { intraOpNumThreads: 1 });
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
  await repository.remove();
});

/** Something like a vowel: harmonics of a pitch of its own, that come and go. */
function samplesOf(pitchHz: number, step: number): Float32Array {
  return Float32Array.from({ length: SAMPLES }, (_, at) => {
    const seconds = (step * 512 + at) / 16_000;
    const harmonics = [1, 2, 3, 4, 5, 6].map(
      (each) => Math.sin(2 * Math.PI * each * pitchHz * seconds) / each,
    );
    const loudness = 0.3 * Math.max(0, Math.sin(2 * Math.PI * 4 * seconds));
    return loudness * harmonics.reduce((sum, each) => sum + each, 0);
  });
}

async function expected(pitchHz: number): Promise<readonly number[]> {
  let state = new Tensor("float32", new Float32Array(256), [2, 1, 128]);
  const found: number[] = [];
  for (let step = 0; step < STEPS; step += 1) {
    const outputs = await reference.run({
      input: new Tensor("float32", samplesOf(pitchHz, step), [1, SAMPLES]),
      sr: new Tensor("int64", BigInt64Array.of(16_000n), []),
      state,
    });
    found.push(Number(outputs["output"]?.data[0]));
    state = outputs["stateN"] as typeof state;
  }
  return found;
}

async function served(pitchHz: number, step: number): Promise<number | undefined> {
  const { body } = await postJson(`${server.url}/v2/models/silero/infer`, {
    parameters: {
      ...{ sequence_id: `voice-${pitchHz}`, sequence_start: step === 0 },
      sequence_end: step === STEPS - 1,
    },
    inputs: [
      {
        ...{ name: "input", shape: [1, SAMPLES], datatype: "FP32" },
        data: [...samplesOf(pitchHz, step)],
      },
      { name: "sr", shape: [], datatype: "INT64", data: [16_000] },
    ],
  });
  return body.outputs?.[0]?.data[0] as number | undefined;
}

test("voices that are detected side by side are each heard as if alone", async () => {
  const pitches = [90, 120, 150, 180, 210];
  const answers = await Promise.all(
    pitches.map(async (pitch) => {
      const heard: (number | undefined)[] = [];
      for (let step = 0; step < STEPS; step += 1) heard.push(await served(pitch, step));
      return heard;
    }),
  );
  for (const [at, pitch] of pitches.entries()) {
    const wanted = await expected(pitch);
    expect(new Set(wanted.map((each) => each.toFixed(4))).size).toBeGreaterThan(STEPS / 2);
    for (const [step, probability] of wanted.entries()) {
      expect(answers[at]?.[step], `voice of ${pitch} Hz, step ${step}`).toBeCloseTo(probability, 4);
    }
  }
});

test("neither metadata nor answers show the state", async () => {
  const metadata = (await (await fetch(`${server.url}/v2/models/silero`)).json()) as {
    readonly inputs: readonly { readonly name: string }[];
    readonly outputs: readonly { readonly name: string }[];
  };
  expect(metadata.inputs.map(({ name }) => name)).toEqual(["input", "sr"]);
  expect(metadata.outputs.map(({ name }) => name)).toEqual(["output"]);
});
