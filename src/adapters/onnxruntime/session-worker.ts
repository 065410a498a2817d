/**
 * The thread of one session. ONNX Runtime for Node.js blocks the thread it runs on, both to load
 * a model and to run it (microsoft/onnxruntime#19611), and so may a pipeline or a program.
 */
import { parentPort, workerData } from "node:worker_threads";
import type { ModelInput, ModelOutput } from "../../app/model-ports.js";
import { ServiceError } from "../../core/error.js";
import { invariant } from "../../core/invariant.js";
import { gathered } from "../../core/serving/stack.js";
import { checkModelFile } from "./check-model-file.js";
import { loadPipeline } from "./model-pipeline.js";
import { openProgram } from "./open-program.js";
import { openSession } from "./open-session.js";
import { packTensors, unpackTensors, wholeBuffers } from "./packed-tensors.js";
import { runBatch } from "./run-batch.js";
import { warmUp } from "./warm-up.js";
import type { BatchInput, FromWorker, SessionDefinition, ToWorker } from "./worker-messages.js";

const definition = workerData as SessionDefinition;
const port = parentPort;
invariant(port !== null, "a session runs in a worker");
const send = (message: FromWorker, transfer: readonly ArrayBuffer[] = []) => {
  port.postMessage(message, transfer);
};

try {
  await start();
} catch (error) {
  send({ kind: "unfit", because: error instanceof Error ? error.message : String(error) });
}

async function start(): Promise<void> {
  const { pipelineFile } = definition;
  await checkModelFile(definition);
  const { compute, ...specs } = await (definition.isProgram ? openProgram : openSession)(
    definition,
  );
  const pipeline =
    pipelineFile === undefined ? undefined : await loadPipeline(pipelineFile, definition);
  const { maxBatchSize, padding } = definition;
  const parts = { compute, pipeline, padding, batches: maxBatchSize > 1 };
  const profile = await warmUp(definition, specs.inputs, (inputs) => runBatch(parts, inputs));
  port?.on("message", ({ input }: ToWorker) => {
    runBatch(parts, inputsOf(input)).then(
      (outputs) => {
        answer(outputs, input);
      },
      (error: unknown) => {
        send({ kind: "failed", ...failureOf(error) });
      },
    );
  });
  send({ kind: "ready", ...specs, profile });
}

function inputsOf(input: BatchInput): readonly ModelInput[] {
  return input.kind === "raw"
    ? input.bodies.map((body) => ({ kind: "raw", body }))
    : unpackTensors(input.packed).map((tensors) => ({ kind: "tensors", tensors }));
}

function answer(outputs: readonly ModelOutput[], { kind }: BatchInput): void {
  if (kind === "raw") {
    // Nothing is moved: what a pipeline returns may be memory that it still needs.
    send({ kind: "answered", outputs });
    return;
  }
  const packed = packTensors(outputs, gathered);
  send({ kind: "ran", packed }, wholeBuffers(packed));
}

/** The runtime's own text tells the caller which value the model could not take. */
function failureOf(error: unknown): Pick<ServiceError, "code" | "message"> {
  if (error instanceof ServiceError) return { code: error.code, message: error.message };
  const because = error instanceof Error ? error.message : String(error);
  const { model, version } = definition;
  return isOfInput(because)
    ? {
        code: "badRequest",
        message: `model ${model}/${version} cannot take this input: ${because}`,
      }
    : { code: "internal", message: `model ${model}/${version} failed: ${because}` };
}

/**
 * An operator of a model that passed its warm-up fails on the values it is given, such as an index
 * that is out of a table, unless it had no memory or the device is at fault.
 */
const isOfInput = (because: string) =>
  because.startsWith("Non-zero status code returned while running") &&
  !/alloc|out of memory|CUDA|CUBLAS|CUDNN|device/i.test(because);
