import { invariant } from "../invariant.js";
import { numericArray } from "./tensor.js";
import type { Tensor, TensorData } from "./tensor.js";

/** Stacks tensors, which agree in all but the first axis, along it. */
export function stack(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors;
  invariant(first !== undefined, "a batch has at least one request");
  if (tensors.length === 1) return first;
  const row = first.shape.slice(1).join("x");
  for (const { shape, datatype } of tensors) {
    const same = shape.slice(1).join("x") === row && datatype === first.datatype;
    invariant(same && shape.length > 0, "requests of one batch have one shape and datatype");
  }
  const rows = tensors.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  return { ...first, shape: [rows, ...first.shape.slice(1)], data: joined(tensors) };
}

function joined(tensors: readonly Tensor[]): TensorData {
  const datatype = tensors[0]?.datatype ?? "BYTES";
  if (datatype === "BYTES") return tensors.flatMap(({ data }) => data as readonly string[]);
  const length = tensors.reduce((sum, { data }) => sum + data.length, 0);
  const all = numericArray(datatype, length);
  let offset = 0;
  for (const { data } of tensors) {
    // One datatype has one kind of array; the compiler cannot know that both are of it.
    all.set(data as never, offset);
    offset += data.length;
  }
  return all;
}

/** The inverse of `stack`: cuts the first axis into parts of these sizes, each with its own data. */
export function unstack(tensor: Tensor, sizes: readonly number[]): readonly Tensor[] {
  const [rows = 0, ...rest] = tensor.shape;
  const total = sizes.reduce((sum, size) => sum + size, 0);
  invariant(
    tensor.shape.length > 0 && rows === total,
    `the model answered shape [${tensor.shape.join(",")}] for a batch of ${total} items`,
  );
  if (sizes.length === 1) return [tensor];
  const rowLength = rows === 0 ? 0 : tensor.data.length / rows;
  let from = 0;
  return sizes.map((size) => {
    const data = tensor.data.slice(from * rowLength, (from + size) * rowLength);
    from += size;
    return { ...tensor, shape: [size, ...rest], data };
  });
}
