import { plainText, tensorBytes, textOf } from "../../app/tensor-bytes.js";
import { ServiceError } from "../../core/error.js";
import { badElement } from "../../core/serving/input-head.js";
import type { InputHead } from "../../core/serving/input-head.js";
import { elementCount, numericArray } from "../../core/serving/tensor.js";
import type { NumericArray, Tensor } from "../../core/serving/tensor.js";
import type { Datatype } from "../../schema/model-manifest.js";
import { FIXED32, FIXED64, LENGTH, malformed, tagOf, VARINT, WireReader } from "./wire-reader.js";
import type { WireWriter } from "./wire-writer.js";

type Typed = Exclude<Datatype, "FP16">;
type Numeric = Exclude<Typed, "BYTES">;

/** The fields of InferTensorContents, by number. */
const FIELD_NAMES = [
  ...["", "bool_contents", "int_contents", "int64_contents", "uint_contents"],
  ...["uint64_contents", "fp32_contents", "fp64_contents", "bytes_contents"],
];

const FIELDS: Readonly<Record<Typed, number>> = {
  ...{ BOOL: 1, INT8: 2, INT16: 2, INT32: 2, INT64: 3, UINT8: 4, UINT16: 4, UINT32: 4 },
  ...{ UINT64: 5, FP32: 6, FP64: 7, BYTES: 8 },
};

/** How one element stands on the wire. */
const WIRE_TYPES: Readonly<Record<Typed, number>> = {
  ...{ BOOL: VARINT, INT8: VARINT, INT16: VARINT, INT32: VARINT, INT64: VARINT },
  ...{ UINT8: VARINT, UINT16: VARINT, UINT32: VARINT, UINT64: VARINT },
  ...{ FP32: FIXED32, FP64: FIXED64, BYTES: LENGTH },
};
const LEAST_BYTES: Readonly<Record<number, number>> = { 0: 1, 1: 8, 2: 2, 5: 4 };

/** A tensor from its InferTensorContents. */
export function tensorFromContents(head: InputHead, contents: Buffer): Tensor {
  const { name, datatype, shape } = head;
  const quoted = JSON.stringify(name);
  if (datatype === "FP16") {
    const message = `input ${quoted} is FP16, which has no contents: send it in raw_input_contents`;
    throw new ServiceError("badRequest", message);
  }
  const wanted = elementCount(shape);
  const least = LEAST_BYTES[WIRE_TYPES[datatype]] ?? 1;
  // Before any memory is taken for what the shape promises.
  if (wanted > contents.length / least) {
    throw wrongCount(quoted, head, countOf(contents, datatype, quoted));
  }
  if (datatype === "BYTES") return { datatype, shape, data: textElements(head, contents) };
  const array = numericArray(datatype, wanted);
  const found = fill(array, datatype, quoted, contents);
  if (found !== wanted) throw wrongCount(quoted, head, found);
  return { datatype, shape, data: array };
}

/** Fills `array` and answers how many elements there are, which may be more. */
function fill(array: NumericArray, datatype: Numeric, quoted: string, contents: Buffer): number {
  const put = WIRE_TYPES[datatype] === VARINT ? putVarint(array, datatype, quoted) : undefined;
  const target = new Uint8Array(array.buffer);
  const width = array.BYTES_PER_ELEMENT;
  const reader = new WireReader(contents);
  let index = 0;
  eachRun(contents, datatype, quoted, (start, end) => {
    if (put === undefined) {
      if ((end - start) % width !== 0) throw malformed("a list of numbers ends within one");
      const room = target.length - index * width;
      if (room > 0)
        target.set(contents.subarray(start, Math.min(end, start + room)), index * width);
      index += (end - start) / width;
      return;
    }
    for (reader.at = start; reader.at < end; index += 1) {
      reader.varint();
      if (index < array.length) put(reader, index);
    }
    if (reader.at > end) throw malformed("a list of numbers ends within one");
  });
  return index;
}

type Put = (reader: WireReader, index: number) => void;

/** Stores one varint as an element. */
function putVarint(array: NumericArray, datatype: Numeric, quoted: string): Put {
  if (datatype === "INT64" || datatype === "UINT64") {
    // In halves, in this machine's order, as the little-endian numbers of app/tensor-bytes.ts are.
    const halves = new Uint32Array(array.buffer);
    return ({ low, high }, index) => {
      halves[2 * index] = low;
      halves[2 * index + 1] = high;
    };
  }
  if (datatype === "BOOL") {
    return ({ low, high }, index) => {
      array[index] = (low | high) === 0 ? 0 : 1;
    };
  }
  const isSigned = datatype.startsWith("INT");
  return ({ low }, index) => {
    // An int32 is a varint cut to 32 bits (https://protobuf.dev/programming-guides/encoding/#cut).
    const value = isSigned ? low | 0 : low;
    array[index] = value;
    if (array[index] !== value) throw badElement(quoted, datatype, index, String(value));
  };
}

function textElements({ name, datatype, shape }: InputHead, contents: Buffer): readonly string[] {
  const quoted = JSON.stringify(name);
  const wanted = elementCount(shape);
  const elements: string[] = [];
  let found = 0;
  eachRun(contents, "BYTES", quoted, (start, end) => {
    found += 1;
    if (found > wanted) return;
    const plain = plainText(contents, start, end);
    elements.push(plain ?? textOf(quoted, contents.subarray(start, end)));
  });
  if (found !== wanted) throw wrongCount(quoted, { datatype, shape }, found);
  return elements;
}

/** Says where each run of elements is: one element, or a packed list of them. */
function eachRun(
  contents: Buffer,
  datatype: Typed,
  quoted: string,
  take: (start: number, end: number) => void,
): void {
  const reader = new WireReader(contents);
  const field = FIELDS[datatype];
  const wireType = WIRE_TYPES[datatype];
  while (reader.next()) {
    if (reader.tag === tagOf(field, LENGTH)) {
      reader.pass(LENGTH);
      take(reader.at - reader.low, reader.at);
    } else if (reader.tag === tagOf(field, wireType)) {
      const start = reader.at;
      reader.skip();
      take(start, reader.at);
    } else {
      reader.skip();
      const other = FIELD_NAMES[reader.tag >>> 3];
      if (other === undefined || other === FIELD_NAMES[field]) continue;
      const message = `input ${quoted} is ${datatype}: its contents are ${String(FIELD_NAMES[field])}, not ${other}`;
      throw new ServiceError("badRequest", message);
    }
  }
}

function countOf(contents: Buffer, datatype: Typed, quoted: string): number {
  let count = 0;
  const [wireType, least] = [WIRE_TYPES[datatype], LEAST_BYTES[WIRE_TYPES[datatype]] ?? 1];
  eachRun(contents, datatype, quoted, (start, end) => {
    if (wireType === LENGTH) count += 1;
    else if (wireType !== VARINT) count += Math.floor((end - start) / least);
    else for (let at = start; at < end; at += 1) count += (contents[at] ?? 0) < 0x80 ? 1 : 0;
  });
  return count;
}

function wrongCount(
  quoted: string,
  { shape }: Pick<InputHead, "datatype" | "shape">,
  found: number,
): ServiceError {
  const message = `input ${quoted} has ${found} elements of data, shape [${shape.join(",")}] needs ${elementCount(shape)}`;
  return new ServiceError("badRequest", message);
}

/** Writes the one field of InferTensorContents that the tensor has. */
export function writeContents(writer: WireWriter, tensor: Tensor): void {
  const { datatype, data } = tensor;
  if (data.length === 0) return;
  if (datatype === "FP16") throw new Error("FP16 has no contents");
  const field = FIELDS[datatype];
  if (datatype === "BYTES") {
    for (const element of data as readonly string[]) writer.string(field, element);
    return;
  }
  if (WIRE_TYPES[datatype] !== VARINT) {
    writer.bytes(field, tensorBytes(tensor));
    return;
  }
  writer.nested(field, () => {
    const numbers = data as NumericArray;
    if (numbers.BYTES_PER_ELEMENT === 8) {
      const halves = new Uint32Array(numbers.buffer, numbers.byteOffset, 2 * numbers.length);
      for (let at = 0; at < halves.length; at += 2) writer.varint(halves[at] ?? 0, halves[at + 1]);
      return;
    }
    // A negative int32 has ten bytes: its sign fills the upper half.
    for (const value of numbers as Int32Array) writer.varint(value, value < 0 ? -1 : 0);
  });
}
