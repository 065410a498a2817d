import type { Datatype, EnsembleStep, Padding } from "../../schema/model-manifest.js";
import type { SequenceSpec } from "./sequence.js";

export type TensorSpec = {
  readonly name: string;
  readonly datatype: Datatype;
  /** -1: any size. The first axis of a model that batches is the batch. */
  readonly shape: readonly number[];
};

export type TensorSpecs = {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
};

/** For messages: name, datatype and shape. */
export const describeTensor = ({ name, datatype, shape }: TensorSpec) =>
  `${name} ${datatype} [${shape.join(",")}]`;

/** What callers may know about one version of a model. */
export type ModelSpec = {
  readonly name: string;
  readonly version: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Items in one run at most; 1: requests are run one by one, in any shape the model takes. */
  readonly maxBatchSize: number;
  /** Undefined: only requests of one shape share a batch. */
  readonly padding?: Padding | undefined;
  /** Undefined: the model keeps no state between requests. */
  readonly sequence?: SequenceSpec | undefined;
  /** Undefined: it is a model of its own. Else its steps, in an order in which they can run. */
  readonly steps?: readonly EnsembleStep[] | undefined;
  /** Names of the classes, by their index in an output. */
  readonly labels: readonly string[];
  /** True: the model has a pipeline and takes plain bodies. */
  readonly takesRawBody: boolean;
};
