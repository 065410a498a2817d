import { InferenceSession, listSupportedBackends } from "onnxruntime-node";
import type { TensorSpecs } from "../../core/serving/model-spec.js";
import { fromOrtTensor, specsOf, toOrtTensor } from "./ort-tensor.js";
import type { Compute } from "./run-batch.js";
import { servedSpecs } from "./served-specs.js";
import type { SessionDefinition } from "./worker-messages.js";

/** A model that is loaded: what it takes and gives as it is served, and one run of it. */
export type Opened = TensorSpecs & { readonly compute: Compute };

/** Loads the model file. */
export async function openSession(definition: SessionDefinition): Promise<Opened> {
  const session = await createSession(definition);
  const specs = servedSpecs(definition, {
    inputs: specsOf(session.inputMetadata),
    outputs: specsOf(session.outputMetadata),
  });
  const outputNames = specs.outputs.map(({ name }) => name);
  const compute: Compute = async (inputs) => {
    const feeds = [...inputs].map(([name, tensor]) => [name, toOrtTensor(tensor)] as const);
    const results = await session.run(Object.fromEntries(feeds), outputNames);
    return new Map(Object.entries(results).map(([name, each]) => [name, fromOrtTensor(each)]));
  };
  return { ...specs, compute };
}

/**
 * Loads the model on the execution providers that are asked for, or throws: never on others. ONNX
 * Runtime itself drops a name that it does not know.
 */
async function createSession({
  modelFile,
  executionProviders,
  intraOpThreads,
}: SessionDefinition): Promise<InferenceSession> {
  const known = listSupportedBackends().map(({ name }) => name);
  const unknown = executionProviders.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new Error(
      `ONNX Runtime here has no execution provider ${unknown}: it has ${known.join(", ")}`,
    );
  }
  try {
    return await InferenceSession.create(modelFile, {
      executionProviders,
      intraOpNumThreads: intraOpThreads,
      interOpNumThreads: 1,
      // Threads that wait for the next run would otherwise burn the cores of a small pod.
      extra: { session: { intra_op: { allow_spinning: "0" } } },
    });
  } catch (cause) {
    const because = cause instanceof Error ? cause.message : String(cause);
    const [accelerator] = executionProviders.filter((name) => name !== "cpu");
    if (accelerator === undefined) throw cause;
    const remedy = "see docs/gpu.md for what it needs, or set executionProviders to [cpu]";
    const list = executionProviders.join(", ");
    throw new Error(`it cannot be loaded on [${list}]: ${because}; ${remedy}`, { cause });
  }
}
