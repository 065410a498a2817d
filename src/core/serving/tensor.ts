import { DATATYPES } from "../../schema/model-manifest.js";
import type { Datatype } from "../../schema/model-manifest.js";

/** How elements are held: BOOL is 0 or 1 in a byte, FP16 its bit pattern, BYTES text. */
const ARRAYS = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const satisfies Record<Exclude<Datatype, "BYTES">, unknown>;

export type NumericArray = InstanceType<(typeof ARRAYS)[keyof typeof ARRAYS]>;
export type TensorData = NumericArray | readonly string[];

export type Tensor = {
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** Row-major; as many elements as the shape says. */
  readonly data: TensorData;
};

export function isDatatype(value: unknown): value is Datatype {
  return (DATATYPES as readonly unknown[]).includes(value);
}

/** Bytes of one element; undefined for BYTES, whose elements differ. */
export function elementBytes(datatype: Datatype): number | undefined {
  return datatype === "BYTES" ? undefined : ARRAYS[datatype].BYTES_PER_ELEMENT;
}

export function numericArray(datatype: Exclude<Datatype, "BYTES">, length: number): NumericArray {
  return new ARRAYS[datatype](length);
}

/** A tensor of zeros; BYTES: of empty texts. */
export function zeros(datatype: Datatype, shape: readonly number[]): Tensor {
  const length = elementCount(shape);
  const data =
    datatype === "BYTES" ? Array.from({ length }, () => "") : numericArray(datatype, length);
  return { datatype, shape, data };
}

/** A view, without a copy, over bytes in this machine's order; `byteOffset` must be aligned. */
export function numericView(
  datatype: Exclude<Datatype, "BYTES">,
  buffer: ArrayBuffer,
  byteOffset = 0,
  length?: number,
): NumericArray {
  return new ARRAYS[datatype](buffer, byteOffset, length);
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1);
}
