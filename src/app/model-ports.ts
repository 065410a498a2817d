import type { ProfilePoint } from "../core/batching/latency-model.js";
import type { ModelSpec } from "../core/serving/model-spec.js";
import type { Tensor } from "../core/serving/tensor.js";

/** The interfaces between inference and the world. Adapters implement them; see also ports.ts. */

/** What one request gives a model: tensors as they are, or bytes for the model's pipeline. */
export type ModelInput =
  | { readonly kind: "tensors"; readonly tensors: ReadonlyMap<string, Tensor> }
  | { readonly kind: "raw"; readonly body: Uint8Array };

export type ModelOutput = ReadonlyMap<string, Tensor>;

/** `restarting`: no instance lives, a replacement loads; `down`: the last replacement failed. */
export type InstanceState = "ready" | "restarting" | "down";

/**
 * The instances of one model version: each holds a copy of the weights and runs one batch at a
 * time, outside this thread. A crashed instance is replaced.
 */
export type InstancePool = {
  /** Instances that could take a batch now. */
  idle(): number;
  state(): InstanceState;
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
  /** Deadline of every request, from its arrival; undefined: none. */
  readonly sloMs: number | undefined;
  readonly maxQueueDelayMs: number;
  readonly maxQueued: number;
  /** True: equal inputs that are under way together are run once. */
  readonly coalesce: boolean;
  /** Bytes of answers that are kept for equal inputs; undefined: none are. */
  readonly cacheBytes: number | undefined;
  /** What the warm-up measured. */
  readonly profile: readonly ProfilePoint[];
  readonly instances: InstancePool;
  readonly instanceCount: number;
  readonly executionProviders: readonly string[];
  /** Changes with anything that it was loaded from. */
  readonly fingerprint: string;
};

export type LoadedModel = {
  readonly name: string;
  readonly defaultVersion: string;
  /** Other names of versions, such as `stable`. */
  readonly versionLabels: Readonly<Record<string, string>>;
  readonly versions: readonly LoadedVersion[];
};

export type ModelRuntime = {
  /** Opens every model of a repository, or throws one error that names everything that is wrong. */
  load(root: string): Promise<readonly LoadedModel[]>;
  /**
   * Opens one model as its folder is now, or throws one error with everything that is wrong. Versions
   * that `current` was loaded from unchanged files are taken over as they are.
   */
  loadModel(root: string, name: string, current: LoadedModel | undefined): Promise<LoadedModel>;
  /** The folders of models that are there now. */
  names(root: string): Promise<readonly string[]>;
};

/** Runs something once, later; after 0 ms: at the end of this turn. The answer cancels it. */
export type Timer = (afterMs: number, run: () => void) => () => void;

type ServedVersion = { readonly model: string; readonly version: string };

/** Where the time of an answered request went. */
export type Stages = {
  /** Reading what the body says; waiting; the run, with the way to the instance; writing. */
  readonly inputSeconds: number;
  readonly queueSeconds: number;
  readonly inferSeconds: number;
  readonly outputSeconds: number;
  /** Whether the answer was kept from before; `none`: the model has no cache. */
  readonly cache: "hit" | "miss" | "none";
};

export type Answered = ServedVersion & {
  /** HTTP status that it has or would have. */
  readonly status: number;
  readonly seconds: number;
  /** Of the request; 1 for a model that does not batch. */
  readonly items: number;
  /** Wall clock. */
  readonly atMs: number;
  /** Absent: it was not answered with outputs. */
  readonly stages?: Stages | undefined;
};

/** Times are in seconds, as Prometheus wants them. */
export type ServingMetrics = {
  /** One per answer. */
  answered(request: Answered): void;
  /** One per request that was dispatched: how long it waited. */
  waited(version: ServedVersion, seconds: number): void;
  /** One per run of a batch, also one that failed: its items, and how long it ran. */
  ran(version: ServedVersion, items: number, seconds: number): void;
  /** Items in the queue now. */
  queued(version: ServedVersion, items: number): void;
};
