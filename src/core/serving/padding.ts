import type { Padding } from "../../schema/model-manifest.js";
import { elementCount, numericArray } from "./tensor.js";
import type { Tensor, TensorData } from "./tensor.js";

/** The axes of a tensor that padding may lengthen, in the order they are declared. */
export const paddedAxes = (padding: Padding, input: string) =>
  padding.inputs.filter(({ name }) => name === input);

/** Elements of one item along the padded axes of the first input that has any; at least 1. */
export function itemLength(
  padding: Padding | undefined,
  tensors: ReadonlyMap<string, Tensor>,
): number {
  const [first] = padding?.inputs ?? [];
  if (padding === undefined || first === undefined) return 1;
  const shape = tensors.get(first.name)?.shape ?? [];
  const sizes = paddedAxes(padding, first.name).map(({ axis }) => shape[axis] ?? 1);
  return Math.max(1, elementCount(sizes));
}

/** Lengthens an axis with a value after what is there; a tensor that is as long stays as it is. */
export function padAxis(tensor: Tensor, axis: number, size: number, value: number): Tensor {
  const own = tensor.shape[axis] ?? 0;
  if (own >= size) return tensor;
  const shape = tensor.shape.with(axis, size);
  const data = filled(tensor, elementCount(shape), value);
  copyRows(tensor, data, axis, size);
  return { ...tensor, shape, data };
}

/** Cuts an axis to its first so many elements. */
export function cropAxis(tensor: Tensor, axis: number, size: number): Tensor {
  const own = tensor.shape[axis] ?? 0;
  if (own <= size) return tensor;
  const shape = tensor.shape.with(axis, size);
  const data = filled(tensor, elementCount(shape), 0);
  copyRows(tensor, data, axis, size);
  return { ...tensor, shape, data };
}

/** Copies the blocks that lie along the axis, each as far as both sides reach. */
function copyRows(from: Tensor, to: TensorData, axis: number, size: number): void {
  const own = from.shape[axis] ?? 0;
  const inner = elementCount(from.shape.slice(axis + 1));
  const outer = elementCount(from.shape.slice(0, axis));
  const length = Math.min(own, size) * inner;
  for (let row = 0; row < outer; row += 1) {
    const start = row * own * inner;
    if (Array.isArray(to)) {
      for (let at = 0; at < length; at += 1) to[row * size * inner + at] = from.data[start + at];
    } else {
      // One datatype has one kind of array; the compiler cannot know that both are of it.
      const block = (from.data as Float32Array).subarray(start, start + length);
      (to as Float32Array).set(block, row * size * inner);
    }
  }
}

function filled({ datatype }: Tensor, length: number, value: number): TensorData {
  if (datatype === "BYTES") return Array.from({ length }, () => "");
  const data = numericArray(datatype, length);
  if (value === 0) return data;
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) data.fill(BigInt(value));
  else data.fill(value);
  return data;
}
