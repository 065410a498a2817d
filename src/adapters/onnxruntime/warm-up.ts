import type { ModelInput } from "../../app/model-ports.js";
import type { TensorSpec } from "../../core/serving/model-spec.js";
import { elementCount, numericArray } from "../../core/serving/tensor.js";
import type { Tensor } from "../../core/serving/tensor.js";
import type { SessionDefinition } from "./worker-messages.js";

/** Runs zeros, for one item and for a full batch, so that no caller pays for the first run. */
export async function warmUp(
  definition: SessionDefinition,
  inputs: readonly TensorSpec[],
  run: (inputs: readonly ModelInput[]) => Promise<unknown>,
): Promise<void> {
  const { maxBatchSize, warmUpRuns, warmUpShapes } = definition;
  for (const name of Object.keys(warmUpShapes)) {
    if (inputs.some((input) => input.name === name)) continue;
    throw new Error(`warmUp.shapes of model.yaml names ${name}, which is no input`);
  }
  const item = new Map(inputs.map((spec) => [spec.name, zeros(spec, warmUpShapes[spec.name])]));
  const one: ModelInput = { kind: "tensors", tensors: item };
  const full = Array.from({ length: maxBatchSize }, () => one);
  try {
    for (let count = 0; count < warmUpRuns; count += 1) {
      await run([one]);
      if (maxBatchSize > 1) await run(full);
    }
  } catch (cause) {
    const because = cause instanceof Error ? cause.message : String(cause);
    const remedy = "set warmUp.shapes to what it takes, or warmUp.runs to 0";
    throw new Error(`the warm-up with zeros failed: ${because}; ${remedy}`, { cause });
  }
}

function zeros({ datatype, shape }: TensorSpec, wanted: readonly number[] | undefined): Tensor {
  const known = wanted ?? shape.map((size) => (size === -1 ? 1 : size));
  const length = elementCount(known);
  const data =
    datatype === "BYTES" ? Array.from({ length }, () => "") : numericArray(datatype, length);
  return { datatype, shape: known, data };
}
