import type { ProfilePoint } from "../../core/batching/latency-model.js";
import type { ErrorCode } from "../../core/error.js";
import type { TensorSpec } from "../../core/serving/model-spec.js";
import type { Tensor } from "../../core/serving/tensor.js";
import type { Padding, Sequence } from "../../schema/model-manifest.js";
import type { PackedTensors } from "./packed-tensors.js";

/** What a worker is started with. */
export type SessionDefinition = {
  readonly model: string;
  readonly version: string;
  readonly versionDirectory: string;
  readonly modelFile: string;
  /** The model file is a module that exports run. */
  readonly isProgram: boolean;
  readonly sha256: string | undefined;
  /** Base64, over the SHA-256 of the model file. */
  readonly signature: string | undefined;
  /** PEM; one of them must have signed the model file. Empty: nothing need be signed. */
  readonly publicKeys: readonly string[];
  readonly pipelineFile: string | undefined;
  readonly labels: readonly string[];
  readonly executionProviders: readonly string[];
  readonly intraOpThreads: number;
  readonly maxBatchSize: number;
  readonly padding: Padding | undefined;
  readonly sequence: Sequence | undefined;
  readonly declaredInputs: readonly TensorSpec[] | undefined;
  readonly declaredOutputs: readonly TensorSpec[] | undefined;
  readonly warmUpRuns: number;
  readonly warmUpShapes: Readonly<Record<string, readonly number[]>>;
};

/** A batch of one kind: plain bodies for the pipeline, or tensors. */
export type BatchInput =
  | { readonly kind: "raw"; readonly bodies: readonly Uint8Array[] }
  | { readonly kind: "tensors"; readonly packed: PackedTensors };

export type ToWorker = { readonly kind: "run"; readonly input: BatchInput };

/** What a session is found to take, give and cost. */
export type SessionSpecs = {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly profile: readonly ProfilePoint[];
};

export type FromWorker =
  | ({ readonly kind: "ready" } & SessionSpecs)
  | { readonly kind: "unfit"; readonly because: string }
  | { readonly kind: "ran"; readonly packed: PackedTensors }
  /** Of a pipeline: each request's may have other names. */
  | { readonly kind: "answered"; readonly outputs: readonly ReadonlyMap<string, Tensor>[] }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string };
