import { z } from "zod";

/** Raise the number when a field changes meaning; adding an optional field does not. */
export const ASSIGNMENT_SCHEMA = "weir.assignment/1";
export const PREDICTION_SCHEMA = "weir.prediction/1";

const ArmRecord = z.strictObject({
  experiment: z.string(),
  phase: z.int(),
  arm: z.string().nullable(),
  bucket: z.int().nullable(),
  reason: z.string(),
  because: z.string().optional(),
});

/**
 * One per admitted request, written by extproc: what was computed, and the facts it was computed
 * from, so that `weir replay` can compute it again. Holds unit ids: treat it as personal data.
 */
export const AssignmentEvent = z.object({
  schema: z.literal(ASSIGNMENT_SCHEMA),
  /** ISO 8601 UTC with milliseconds. */
  at: z.string(),
  /** ULID; joins predictions and outcomes. */
  decision: z.string(),
  policy: z.string(),
  model: z.string(),
  version: z.string(),
  versionReason: z.string().nullable(),
  arms: z.array(ArmRecord),
  shadow: z.strictObject({ name: z.string(), version: z.string(), cluster: z.string() }).nullable(),
  seed: z.number().nullable(),
  limits: z.array(z.strictObject({ limit: z.string(), kind: z.string(), cost: z.number() })),
  /** Weights in force, by experiment: hash algorithm, seed, and share of each arm in basis points. */
  draws: z.record(
    z.string(),
    z.strictObject({
      hash: z.string(),
      seed: z.string(),
      shares: z.record(z.string(), z.number()),
    }),
  ),
  facts: z.strictObject({
    method: z.string(),
    path: z.string(),
    host: z.string(),
    /** Only the headers that the policy reads, and no token. */
    headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
    principal: z.string().optional(),
    unhealthy: z.array(z.string()),
    /** experiment=arm pairs of an override that was verified. */
    override: z.record(z.string(), z.string()).optional(),
  }),
});
export type AssignmentEvent = z.infer<typeof AssignmentEvent>;

/** One per answer of a pod. */
export const PredictionEvent = z.object({
  schema: z.literal(PREDICTION_SCHEMA),
  at: z.string(),
  /** Decision id from extproc; null when the request did not pass one. */
  decision: z.string().nullable(),
  policy: z.string().nullable(),
  model: z.string(),
  version: z.string(),
  role: z.enum(["primary", "shadow"]),
  /** `x-weir-arms` as it arrived; null when absent. */
  arms: z.string().nullable(),
  /** HTTP status of the answer. */
  status: z.int(),
  /** 1 for the first try; from x-envoy-attempt-count. */
  attempt: z.int(),
  requestId: z.string().nullable(),
  /** Milliseconds from the whole request to the whole answer, and of it in the queue. */
  durationMs: z.number(),
  queueMs: z.number(),
  batchSize: z.int(),
  /** Output tensors by name when they are small, for comparing shadows; else their SHA-256. */
  outputs: z.record(z.string(), z.unknown()),
});
export type PredictionEvent = z.infer<typeof PredictionEvent>;
