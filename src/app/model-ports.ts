import type { ModelSpec } from "../core/serving/model-spec.js";
import type { Tensor } from "../core/serving/tensor.js";

/** The interfaces between inference and the world. Adapters implement them; see also ports.ts. */

/** What one request gives a model: tensors as they are, or bytes for the model's pipeline. */
export type ModelInput =
  | { readonly kind: "tensors"; readonly tensors: ReadonlyMap<string, Tensor> }
  | { readonly kind: "raw"; readonly body: Uint8Array };

export type ModelOutput = ReadonlyMap<string, Tensor>;

/**
 * The instances of one model version: each holds a copy of the weights and runs one batch at a
 * time, outside this thread. A crashed instance is replaced.
 */
export type InstancePool = {
  /** Instances that could take a batch now. */
  idle(): number;
  /** `restarting`: no instance lives, a replacement loads; `down`: the last replacement failed. */
  state(): "ready" | "restarting" | "down";
  /**
   * Runs the inputs as one batch on an idle instance; answers in their order. Rejects with
   * `dependencyDown` when the instance was lost, with another code when the batch failed.
   */
  run(inputs: readonly ModelInput[]): Promise<readonly ModelOutput[]>;
  /** Calls `listener` whenever `idle` or `state` may have changed. */
  onChange(listener: () => void): void;
  close(): Promise<void>;
};

/** One version of a model that passed checksum, load and warm-up. */
export type LoadedVersion = {
  readonly spec: ModelSpec;
  readonly maxQueueDelayMs: number;
  readonly maxQueued: number;
  readonly instances: InstancePool;
};

export type LoadedModel = {
  readonly name: string;
  readonly defaultVersion: string;
  readonly versions: readonly LoadedVersion[];
};

/** Opens every model of a repository, or throws one error that names everything that is wrong. */
export type ModelRuntime = {
  load(root: string): Promise<readonly LoadedModel[]>;
};

/** Runs something once, later; the answer cancels it. */
export type Timer = (afterMs: number, run: () => void) => () => void;

type ServedVersion = { readonly model: string; readonly version: string };

/** Times are in seconds, as Prometheus wants them. */
export type ServingMetrics = {
  /** One per answer; status is the HTTP status of it. */
  answered(request: ServedVersion & { readonly status: number; readonly seconds: number }): void;
  /** One per request that was dispatched: how long it waited. */
  waited(version: ServedVersion, seconds: number): void;
  /** One per run of a batch, also one that failed: its items, and how long it ran. */
  ran(version: ServedVersion, items: number, seconds: number): void;
  /** Items in the queue now. */
  queued(version: ServedVersion, items: number): void;
};
