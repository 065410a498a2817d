import { joined } from "../../core/serving/stack.js";
import type { Tensor, TensorData } from "../../core/serving/tensor.js";
import type { Datatype } from "../../schema/model-manifest.js";

type Tensors = ReadonlyMap<string, Tensor>;

type Column = {
  readonly name: string;
  readonly datatype: Datatype;
  /** Of each request. */
  readonly shapes: readonly (readonly number[])[];
  /** Of all requests, one after the other. */
  readonly data: TensorData;
};

/**
 * The tensors of a batch on their way between threads: one array for each name. A message costs by
 * its objects, and a batch of small requests has many.
 */
export type PackedTensors = { readonly count: number; readonly columns: readonly Column[] };

/**
 * @param items  which have the same names and datatypes
 * @param join   makes one of the data of several; of one, its own is taken
 */
export function packTensors(
  items: readonly Tensors[],
  join: (tensors: readonly Tensor[]) => TensorData = joined,
): PackedTensors {
  const columns = [...(items[0] ?? [])].map(([name, first]): Column => {
    const tensors = items.map((item) => item.get(name) ?? first);
    const data = tensors.length === 1 ? first.data : join(tensors);
    return { name, datatype: first.datatype, shapes: tensors.map(({ shape }) => shape), data };
  });
  return { count: items.length, columns };
}

/** The inverse; the data of each are a view of that of all. */
export function unpackTensors({ count, columns }: PackedTensors): readonly Tensors[] {
  const items = Array.from({ length: count }, () => new Map<string, Tensor>());
  for (const { name, datatype, shapes, data } of columns) {
    let from = 0;
    items.forEach((item, index) => {
      const shape = shapes[index] ?? [];
      const length = shape.reduce((product, size) => product * size, 1);
      item.set(name, { datatype, shape, data: part(data, from, from + length) });
      from += length;
    });
  }
  return items;
}

const part = (data: TensorData, from: number, to: number): TensorData =>
  ArrayBuffer.isView(data) ? data.subarray(from, to) : data.slice(from, to);

/** Memory that may be handed to the other thread: nothing else lies in it. */
export function wholeBuffers({ columns }: PackedTensors): readonly ArrayBuffer[] {
  const buffers = columns.flatMap(({ data }) =>
    ArrayBuffer.isView(data) &&
    data.buffer instanceof ArrayBuffer &&
    data.byteLength === data.buffer.byteLength
      ? [data.buffer]
      : [],
  );
  return [...new Set(buffers)];
}
