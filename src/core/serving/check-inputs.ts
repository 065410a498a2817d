import { ServiceError } from "../error.js";
import type { ModelSpec, TensorSpec } from "./model-spec.js";
import type { Tensor } from "./tensor.js";

/**
 * Refuses what the model cannot take before it is queued, so that one caller's mistake never
 * reaches a batch with others.
 *
 * @returns how many items the request has, and which requests could share its batch
 */
export function checkInputs(
  spec: ModelSpec,
  tensors: ReadonlyMap<string, Tensor>,
): { readonly items: number; readonly shapeKey: string } {
  const model = `model ${spec.name}/${spec.version}`;
  for (const name of tensors.keys()) {
    if (!spec.inputs.some((input) => input.name === name)) {
      const known = spec.inputs.map((input) => input.name).join(", ");
      throw new ServiceError("badRequest", `unknown input ${quote(name)}: ${model} has ${known}`);
    }
  }
  const keys = spec.inputs.map((input) => {
    const tensor = tensors.get(input.name);
    if (tensor === undefined) {
      throw new ServiceError("badRequest", `input ${quote(input.name)} of ${model} is missing`);
    }
    checkTensor(model, input, tensor);
    return `${input.name}:${tensor.shape.slice(1).join("x")}`;
  });
  if (spec.maxBatchSize === 1) return { items: 1, shapeKey: "" };
  return { items: itemsOf(spec, tensors), shapeKey: keys.join(";") };
}

function checkTensor(model: string, input: TensorSpec, tensor: Tensor): void {
  const { name, datatype, shape } = input;
  if (tensor.datatype !== datatype) {
    const message = `input ${quote(name)} has datatype ${tensor.datatype}, ${model} takes ${datatype}`;
    throw new ServiceError("badRequest", message);
  }
  if (!fitsShape(tensor.shape, shape)) {
    const message = `input ${quote(name)} has shape [${tensor.shape.join(",")}], ${model} takes [${shape.join(",")}]`;
    throw new ServiceError("badRequest", message);
  }
}

/** True when `pattern`, with -1 for any size, admits the shape. */
export function fitsShape(shape: readonly number[], pattern: readonly number[]): boolean {
  return (
    shape.length === pattern.length &&
    pattern.every((size, axis) => size === -1 || size === shape[axis])
  );
}

function itemsOf(spec: ModelSpec, tensors: ReadonlyMap<string, Tensor>): number {
  const sizes = new Set([...tensors.values()].map(({ shape }) => shape[0] ?? 1));
  const [items = 1] = sizes;
  if (sizes.size > 1) {
    const seen = [...sizes].join(" and ");
    throw new ServiceError(
      "badRequest",
      `inputs disagree about the batch, their first axis: ${seen}`,
    );
  }
  if (items > spec.maxBatchSize) {
    throw new ServiceError(
      "badRequest",
      `the request has ${items} items, model ${spec.name}/${spec.version} takes at most ${spec.maxBatchSize} (maxBatchSize): send several requests`,
    );
  }
  return items;
}

const quote = (name: string) => JSON.stringify(name.slice(0, 128));
