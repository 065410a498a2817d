import type { Tensor } from "./tensor.js";

/** The tensor, in memory that holds nothing else: a copy where it is a view of more. */
export function ownTensor(tensor: Tensor): Tensor {
  const { data } = tensor;
  const isView = ArrayBuffer.isView(data) && data.byteLength < data.buffer.byteLength;
  return isView ? { ...tensor, data: data.slice() } : tensor;
}
