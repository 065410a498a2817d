import { InferenceSession } from "onnxruntime-node";
import { fromOrtTensor, toOrtTensor } from "../../src/adapters/onnxruntime/ort-tensor.js";
import type { NamedTensor } from "./onnx-node-tests.js";

/** What the runtime itself answers, without any server. */
export async function runBare(
  modelFile: string,
  inputs: readonly NamedTensor[],
): Promise<readonly NamedTensor[]> {
  const session = await InferenceSession.create(modelFile);
  const feeds = inputs.map(({ name, tensor }) => [name, toOrtTensor(tensor)] as const);
  const outputs = await session.run(Object.fromEntries(feeds));
  await session.release();
  return Object.entries(outputs).map(([name, tensor]) => ({ name, tensor: fromOrtTensor(tensor) }));
}

export async function loadsBare(modelFile: string): Promise<boolean> {
  return InferenceSession.create(modelFile).then(
    (session) => session.release().then(() => true),
    () => false,
  );
}
