import { checkText } from "../../app/tensor-bytes.js";
import { ServiceError } from "../../core/error.js";
import { elementCount, numericArray } from "../../core/serving/tensor.js";
import type { NumericArray, Tensor } from "../../core/serving/tensor.js";
import type { Datatype } from "../../schema/model-manifest.js";
import { exactInteger } from "./exact-json.js";

/** `data` of a JSON tensor: nested as the shape says, or flat, row-major either way. */
export function tensorFromJson(
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  data: unknown,
): Tensor {
  if (datatype === "FP16") {
    const message = `input ${name} is FP16, which JSON cannot carry: send it as binary data (binary_data_size)`;
    throw new ServiceError("badRequest", message);
  }
  const elements = elementsOf(name, shape, data);
  if (datatype === "BYTES") {
    return { datatype, shape, data: elements.map((element) => textElement(name, element)) };
  }
  const array = numericArray(datatype, elements.length);
  const convert = CONVERT[datatype];
  elements.forEach((element, index) => {
    const value = convert(element);
    if (value === undefined) throw badElement(name, datatype, index, element);
    array[index] = value;
  });
  return { datatype, shape, data: array };
}

/** The `data` array of an answer. */
export function tensorJson(name: string, { datatype, data }: Tensor): string {
  if (datatype === "BYTES") return JSON.stringify(data);
  if (datatype === "FP16") throw notInJson(name, "is FP16");
  const numbers = data as NumericArray;
  if (datatype === "BOOL") {
    return `[${Array.from(numbers as Uint8Array, (bit) => bit !== 0).join(",")}]`;
  }
  if (datatype.startsWith("FP") && !numbers.every((value) => Number.isFinite(value))) {
    throw notInJson(name, "holds NaN or an infinity");
  }
  return `[${numbers.join(",")}]`;
}

function notInJson(name: string, because: string): ServiceError {
  const message = `output ${name} ${because}, which JSON cannot carry: ask for binary_data`;
  return new ServiceError("badRequest", message);
}

function elementsOf(name: string, shape: readonly number[], data: unknown): readonly unknown[] {
  if (!Array.isArray(data)) {
    throw new ServiceError("badRequest", `input ${name}: data must be an array`);
  }
  const list: readonly unknown[] = data;
  const flat = Array.isArray(list[0]) ? flattened(name, shape, list) : list;
  if (flat.length === elementCount(shape)) return flat;
  const message = `input ${name} has ${flat.length} elements of data, shape [${shape.join(",")}] needs ${elementCount(shape)}`;
  throw new ServiceError("badRequest", message);
}

/** One level at a time, so that no nesting is too deep for the stack. */
function flattened(
  name: string,
  shape: readonly number[],
  data: readonly unknown[],
): readonly unknown[] {
  let level: readonly unknown[] = [data];
  for (const size of shape) {
    const next: unknown[] = [];
    for (const part of level) {
      if (!Array.isArray(part) || part.length !== size) {
        const message = `input ${name}: nested data does not have the shape [${shape.join(",")}]`;
        throw new ServiceError("badRequest", message);
      }
      for (const element of part as readonly unknown[]) next.push(element);
    }
    level = next;
  }
  return level;
}

type Convert = (element: unknown) => number | bigint | undefined;

const integer =
  (bits: 8 | 16 | 32, signed: boolean): Convert =>
  (element) => {
    const [low, high] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
    const fits = Number.isInteger(element) && Number(element) >= low && Number(element) <= high;
    return fits ? Number(element) : undefined;
  };

const long =
  (fit: (value: bigint) => bigint): Convert =>
  (element) => {
    const value = exactInteger(element);
    return value !== undefined && fit(value) === value ? value : undefined;
  };

/** A number beyond the datatype's range would become an infinity. */
const real =
  (round: (value: number) => number): Convert =>
  (element) => {
    const value = typeof element === "number" ? element : Number(exactInteger(element) ?? NaN);
    return Number.isFinite(round(value)) ? value : undefined;
  };

const CONVERT: Readonly<Record<Exclude<Datatype, "BYTES" | "FP16">, Convert>> = {
  BOOL: (element) => (typeof element === "boolean" ? Number(element) : undefined),
  UINT8: integer(8, false),
  UINT16: integer(16, false),
  UINT32: integer(32, false),
  UINT64: long((value) => BigInt.asUintN(64, value)),
  INT8: integer(8, true),
  INT16: integer(16, true),
  INT32: integer(32, true),
  INT64: long((value) => BigInt.asIntN(64, value)),
  FP32: real(Math.fround),
  FP64: real(Number),
};

function textElement(name: string, element: unknown): string {
  if (typeof element !== "string" || exactInteger(element) !== undefined) {
    throw new ServiceError("badRequest", `input ${name}: elements of BYTES must be strings`);
  }
  checkText(name, element);
  return element;
}

function badElement(name: string, datatype: Datatype, index: number, element: unknown) {
  const shown = shownElement(element);
  const message = `input ${name}: element ${index} is ${shown}, which is no value of ${datatype}`;
  return new ServiceError("badRequest", message);
}

/** JSON.stringify would overflow the stack on deep nesting. */
function shownElement(element: unknown): string {
  if (typeof element === "object" && element !== null) {
    return Array.isArray(element) ? "a list" : "an object";
  }
  return String(exactInteger(element) ?? JSON.stringify(element)).slice(0, 64);
}
