import { ServiceError } from "../error.js";
import type { ModelSpec, TensorSpec } from "./model-spec.js";
import { itemLength, paddedAxes } from "./padding.js";
import type { Tensor } from "./tensor.js";

/**
 * Refuses what the model cannot take before it is queued, so that one caller's mistake never
 * reaches a batch with others.
 *
 * @returns how many items the request has, which requests could share its batch, and how long its
 * items are along the axes that may be padded
 */
export function checkInputs(spec: ModelSpec, tensors: ReadonlyMap<string, Tensor>): BatchShape {
  for (const [name, { datatype, shape }] of tensors) checkInput(spec, { name, datatype, shape });
  const keys = spec.inputs.map((input) => {
    const tensor = tensors.get(input.name);
    if (tensor === undefined) {
      const message = `input ${quote(input.name)} of ${nameOf(spec)} is missing`;
      throw new ServiceError("badRequest", message);
    }
    return keyOf(spec, input.name, tensor);
  });
  if (spec.maxBatchSize === 1) return { items: 1, shapeKey: "", length: 1 };
  return {
    items: itemsOf(tensors),
    shapeKey: keys.length === 1 ? (keys[0] ?? "") : keys.join(";"),
    length: itemLength(spec.padding, tensors),
  };
}

export type BatchShape = {
  readonly items: number;
  readonly shapeKey: string;
  /** Elements of one item along the axes that may be padded; 1 where none may. */
  readonly length: number;
};

/** Sizes of one item; an axis that may be padded is of any size. */
function keyOf({ padding }: ModelSpec, name: string, { shape }: Tensor): string {
  const padded = padding === undefined ? [] : paddedAxes(padding, name);
  const sizes = shape.map((size, axis) => (padded.some((each) => each.axis === axis) ? "*" : size));
  return `${name}:${sizes.slice(1).join("x")}`;
}

/**
 * Refuses an input by what is said of it, before any of its data is read: a wire that reads data in
 * the model's datatype asks this first.
 */
export function checkInput(spec: ModelSpec, given: TensorSpec): void {
  const { name, datatype, shape } = given;
  const input = spec.inputs.find((each) => each.name === name);
  if (input === undefined) {
    const known = spec.inputs.map((each) => each.name).join(", ");
    const message = `unknown input ${quote(name)}: ${nameOf(spec)} has ${known}`;
    throw new ServiceError("badRequest", message);
  }
  if (datatype !== input.datatype) {
    const message = `input ${quote(name)} has datatype ${datatype}, ${nameOf(spec)} takes ${input.datatype}`;
    throw new ServiceError("badRequest", message);
  }
  if (!fitsShape(shape, input.shape)) {
    const message = `input ${quote(name)} has shape [${shape.join(",")}], ${nameOf(spec)} takes [${input.shape.join(",")}]`;
    throw new ServiceError("badRequest", message);
  }
  if (spec.maxBatchSize > 1 && shape[0] === 0) {
    const message = `input ${quote(name)} has no items: the first axis of [${shape.join(",")}] is the batch of ${nameOf(spec)}, and must be 1 or more`;
    throw new ServiceError("badRequest", message);
  }
}

/** Legal where the model's shape is open; that the runtime can compute with it is not certain. */
export function hasEmptyInput(tensors: ReadonlyMap<string, Tensor>): boolean {
  return [...tensors.values()].some(({ data }) => data.length === 0);
}

/** True when `pattern`, with -1 for any size, admits the shape. */
export function fitsShape(shape: readonly number[], pattern: readonly number[]): boolean {
  return (
    shape.length === pattern.length &&
    pattern.every((size, axis) => size === -1 || size === shape[axis])
  );
}

function itemsOf(tensors: ReadonlyMap<string, Tensor>): number {
  const sizes = new Set([...tensors.values()].map(({ shape }) => shape[0] ?? 1));
  const [items = 1] = sizes;
  if (sizes.size > 1) {
    const seen = [...sizes].join(" and ");
    throw new ServiceError(
      "badRequest",
      `inputs disagree about the batch, their first axis: ${seen}`,
    );
  }
  return items;
}

const nameOf = ({ name, version }: ModelSpec) => `model ${name}/${version}`;
const quote = (name: string) => JSON.stringify(name.slice(0, 128));
