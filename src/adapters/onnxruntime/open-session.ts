import { InferenceSession, listSupportedBackends } from "onnxruntime-node";
import type { SessionDefinition } from "./worker-messages.js";

type Wanted = Pick<SessionDefinition, "modelFile" | "executionProviders" | "intraOpThreads">;

/**
 * Loads the model on the execution providers that are asked for, or throws: never on others. ONNX
 * Runtime itself drops a name that it does not know.
 */
export async function openSession(wanted: Wanted): Promise<InferenceSession> {
  const { modelFile, executionProviders, intraOpThreads } = wanted;
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
