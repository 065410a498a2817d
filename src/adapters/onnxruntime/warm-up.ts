import type { ModelInput } from "../../app/model-ports.js";
import type { ProfilePoint } from "../../core/batching/latency-model.js";
import type { TensorSpec } from "../../core/serving/model-spec.js";
import { itemLength } from "../../core/serving/padding.js";
import { zeros } from "../../core/serving/tensor.js";
import type { Tensor } from "../../core/serving/tensor.js";
import type { SessionDefinition } from "./worker-messages.js";

/** Batch sizes between one and the largest are left out once the sweep has taken so long. */
const MAX_SWEEP_MS = 5000;

/**
 * Runs zeros, for each batch size, so that no caller pays for the first run and the batcher knows
 * what each costs.
 *
 * @returns the fastest run of each size: what disturbs a run makes it slower
 */
export async function warmUp(
  definition: SessionDefinition,
  inputs: readonly TensorSpec[],
  run: (inputs: readonly ModelInput[]) => Promise<unknown>,
): Promise<readonly ProfilePoint[]> {
  const { maxBatchSize, warmUpRuns, warmUpShapes, padding } = definition;
  for (const name of Object.keys(warmUpShapes)) {
    if (inputs.some((input) => input.name === name)) continue;
    throw new Error(`warmUp.shapes of model.yaml names ${name}, which is no input`);
  }
  const item = new Map(inputs.map((spec) => [spec.name, itemOf(spec, warmUpShapes[spec.name])]));
  const one: ModelInput = { kind: "tensors", tensors: item };
  const length = itemLength(padding, item);
  const profile: ProfilePoint[] = [];
  if (warmUpRuns === 0) return profile;
  const startedAtMs = performance.now();
  try {
    for (const items of sizesUpTo(maxBatchSize)) {
      const isLate = performance.now() - startedAtMs > MAX_SWEEP_MS;
      if (isLate && items > 1 && items < maxBatchSize) continue;
      const batch = Array.from({ length: items }, () => one);
      profile.push({ items, length, ms: await fastest(warmUpRuns, () => run(batch)) });
    }
  } catch (cause) {
    const because = cause instanceof Error ? cause.message : String(cause);
    const remedy = "set warmUp.shapes to what it takes, or warmUp.runs to 0";
    throw new Error(`the warm-up with zeros failed: ${because}; ${remedy}`, { cause });
  }
  return profile;
}

function sizesUpTo(maxBatchSize: number): readonly number[] {
  const sizes: number[] = [];
  for (let size = 1; size < maxBatchSize; size *= 2) sizes.push(size);
  return [...sizes, maxBatchSize];
}

async function fastest(runs: number, run: () => Promise<unknown>): Promise<number> {
  let leastMs = Infinity;
  for (let count = 0; count < runs; count += 1) {
    const startedAtMs = performance.now();
    await run();
    leastMs = Math.min(leastMs, performance.now() - startedAtMs);
  }
  return leastMs;
}

function itemOf({ datatype, shape }: TensorSpec, wanted: readonly number[] | undefined): Tensor {
  return zeros(datatype, wanted ?? shape.map((size) => (size === -1 ? 1 : size)));
}
