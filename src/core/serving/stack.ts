import { invariant } from "../invariant.js";
import { numericArray, numericView } from "./tensor.js";
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
  return { ...first, shape: [rows, ...first.shape.slice(1)], data: gathered(tensors) };
}

/** The data of several tensors of one datatype as one: without a copy where it lies so already. */
export function gathered(tensors: readonly Tensor[]): TensorData {
  return adjacent(tensors) ?? joined(tensors);
}

/** Undefined: they do not lie end to end in one piece of memory. */
function adjacent(tensors: readonly Tensor[]): TensorData | undefined {
  const { datatype = "BYTES", data: first } = tensors[0] ?? {};
  if (datatype === "BYTES" || !ArrayBuffer.isView(first)) return undefined;
  const { buffer } = first;
  if (!(buffer instanceof ArrayBuffer)) return undefined;
  let end = first.byteOffset;
  let length = 0;
  for (const { data } of tensors) {
    if (!ArrayBuffer.isView(data) || data.buffer !== buffer || data.byteOffset !== end) {
      return undefined;
    }
    end += data.byteLength;
    length += data.length;
  }
  return numericView(datatype, buffer, first.byteOffset, length);
}

/** The data of several tensors of one datatype as one, which nothing else shares. */
export function joined(tensors: readonly Tensor[]): TensorData {
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

/** The inverse of `stack`: cuts the first axis into parts of these sizes, views of the data. */
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
    const [start, end] = [from * rowLength, (from + size) * rowLength];
    const { data: all } = tensor;
    const data = ArrayBuffer.isView(all) ? all.subarray(start, end) : all.slice(start, end);
    from += size;
    return { ...tensor, shape: [size, ...rest], data };
  });
}
