import { createHash } from "node:crypto";
import type { ModelSpec } from "../core/serving/model-spec.js";
import type { Tensor } from "../core/serving/tensor.js";
import { PREDICTION_SCHEMA } from "../schema/events.js";
import type { PredictionEvent } from "../schema/events.js";
import type { BatchAnswer } from "./batch-runner.js";
import type { MeshFacts } from "./call-facts.js";
import type { ModelOutput } from "./model-ports.js";
import { tensorBytes } from "./tensor-bytes.js";

/** An output is logged as it is when its JSON is at most this long, else as its SHA-256. */
const MAX_INLINE_BYTES = 512;

export type Prediction = {
  readonly mesh: MeshFacts;
  readonly at: string;
  readonly role: "primary" | "shadow";
  readonly status: number;
  readonly outputs: ModelOutput;
  readonly batch: BatchAnswer | undefined;
  readonly durationMs: number;
};

export function predictionEvent(spec: ModelSpec, prediction: Prediction): PredictionEvent {
  const { at, role, status, batch, durationMs } = prediction;
  const { decision, policy, arms, attempt, requestId } = prediction.mesh;
  return {
    schema: PREDICTION_SCHEMA,
    at,
    decision,
    policy,
    model: spec.name,
    version: spec.version,
    role,
    arms,
    status,
    attempt,
    requestId,
    durationMs: rounded(durationMs),
    queueMs: rounded(batch?.queueMs ?? 0),
    batchSize: batch?.batchSize ?? 0,
    outputs: Object.fromEntries(
      [...prediction.outputs].map(([name, tensor]) => [name, summaryOf(tensor)]),
    ),
  };
}

/** Equal tensors have equal summaries, so that a shadow can be compared with its primary. */
function summaryOf(tensor: Tensor): unknown {
  const { datatype, shape, data } = tensor;
  // Two characters an element at least: what is longer need not be written out to be measured.
  if (data.length * 2 <= MAX_INLINE_BYTES) {
    const inline = { datatype, shape, data: Array.from<unknown, unknown>(data, plain) };
    if (Buffer.byteLength(JSON.stringify(inline)) <= MAX_INLINE_BYTES) return inline;
  }
  const hash = createHash("sha256").update(`${datatype} ${shape.join(",")} `);
  return { sha256: hash.update(tensorBytes(tensor)).digest("hex") };
}

/** What JSON cannot hold is written as text: 64-bit integers, NaN and infinities. */
function plain(element: unknown): unknown {
  const fits = typeof element === "string" || Number.isFinite(element);
  return fits ? element : String(element);
}

/** To microseconds: the clock means no more. */
const rounded = (ms: number) => Math.round(ms * 1000) / 1000;
