import type { Datatype, Sequence } from "../../schema/model-manifest.js";
import { ServiceError } from "../error.js";
import { describeTensor } from "./model-spec.js";
import type { ModelSpec, TensorSpec, TensorSpecs } from "./model-spec.js";
import { zeros } from "./tensor.js";
import type { Tensor } from "./tensor.js";

/** The place of a request in a sequence, as Triton's sequence extension says it. */
export type SequenceStep = {
  readonly id: string;
  /** The state begins anew with this request. */
  readonly start: boolean;
  /** The state is of no use after this request. */
  readonly end: boolean;
};

export type StateSpec = {
  readonly input: string;
  readonly output: string;
  readonly datatype: Datatype;
  /** Of the zeros that a sequence begins with. */
  readonly shape: readonly number[];
};

export type SequenceSpec = {
  readonly states: readonly StateSpec[];
  readonly maxIdleMs: number;
  readonly maxSequences: number;
};

/**
 * What of a model is state, and what is left for callers.
 *
 * @throws Error  when a state is no input or output of the model, or its two ends differ
 */
export function splitStates(declared: Sequence, { inputs, outputs }: TensorSpecs) {
  const states = declared.states.map(({ input, output, shape }): StateSpec => {
    const from = found("input", input, inputs);
    const to = found("output", output, outputs);
    if (from.datatype !== to.datatype || from.shape.length !== to.shape.length) {
      throw new Error(
        `sequence.states of model.yaml: output ${describeTensor(to)} cannot be the next input ${describeTensor(from)}`,
      );
    }
    const zeros = shape ?? from.shape.map((size) => (size === -1 ? 1 : size));
    return { input, output, datatype: from.datatype, shape: zeros };
  });
  const { maxIdleMs, maxSequences } = declared;
  return {
    sequence: { states, maxIdleMs, maxSequences },
    inputs: inputs.filter(({ name }) => !states.some(({ input }) => input === name)),
    outputs: outputs.filter(({ name }) => !states.some(({ output }) => output === name)),
  };
}

export const zeroState = ({ datatype, shape }: StateSpec): Tensor => zeros(datatype, shape);

/** A model that keeps state has requests of sequences, one item each; any other has none. */
export function checkStep(
  { name, version, sequence }: ModelSpec,
  step: SequenceStep | undefined,
  items: number,
): void {
  const model = `model ${name}/${version}`;
  if (sequence === undefined) {
    if (step === undefined) return;
    throw bad(`sequence_id starts a sequence, and ${model} keeps no state: leave it out`);
  }
  if (step === undefined) {
    throw bad(
      `${model} keeps state: name the sequence of the request with the parameter sequence_id`,
    );
  }
  if (items !== 1) throw bad(`${model} takes one item of a sequence at a time, not ${items}`);
}

function found(what: string, name: string, specs: readonly TensorSpec[]): TensorSpec {
  const spec = specs.find((each) => each.name === name);
  if (spec !== undefined) return spec;
  const known = specs.map((each) => each.name).join(", ");
  throw new Error(`sequence.states of model.yaml names ${what} ${name}: the model has ${known}`);
}

const bad = (message: string) => new ServiceError("badRequest", message);
