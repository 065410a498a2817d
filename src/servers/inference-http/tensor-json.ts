import { checkText, plainText } from "../../app/tensor-bytes.js";
import { ServiceError } from "../../core/error.js";
import { badElement } from "../../core/serving/input-head.js";
import type { InputHead } from "../../core/serving/input-head.js";
import { elementCount, numericArray } from "../../core/serving/tensor.js";
import type { NumericArray, Tensor } from "../../core/serving/tensor.js";
import type { Datatype } from "../../schema/model-manifest.js";
import { shownValue, walkData } from "./json-data.js";
import { NumberReader } from "./json-number.js";
import { QUOTE, stringEnd } from "./json-text.js";

/** `data` of a JSON tensor, from the text of its list. */
export function tensorFromJson({ name, datatype, shape }: InputHead, data: Buffer): Tensor {
  const input = { name: JSON.stringify(name), shape };
  if (datatype === "FP16") {
    const message = `input ${input.name} is FP16, which JSON cannot carry: send it as binary data (binary_data_size)`;
    throw new ServiceError("badRequest", message);
  }
  const total = elementCount(shape);
  // Each element is a character at least, and all but one have a comma.
  if (total > data.length) {
    const message = `input ${input.name} has ${data.length} characters of data, shape [${shape.join(",")}] needs ${total} elements`;
    throw new ServiceError("badRequest", message);
  }
  if (datatype === "BYTES") return { datatype, shape, data: textElements(input, data) };
  return { datatype, shape, data: numericElements(input, datatype, data) };
}

type Input = { readonly name: string; readonly shape: readonly number[] };

function numericElements(input: Input, datatype: Numeric, data: Buffer): NumericArray {
  const array = numericArray(datatype, elementCount(input.shape));
  const number = new NumberReader(data);
  const convert = CONVERT[datatype];
  walkData(input, data, (at, index) => {
    const value = datatype === "BOOL" ? boolAt(data, at) : numberAt(number, at, convert);
    if (value === undefined) throw badElement(input.name, datatype, index, shownValue(data, at));
    array[index] = value;
    return datatype === "BOOL" ? at + (value === 1 ? 4 : 5) : number.end;
  });
  return array;
}

function numberAt(number: NumberReader, at: number, convert: Convert) {
  return number.read(at) ? convert(number) : undefined;
}

function boolAt(data: Buffer, at: number): 0 | 1 | undefined {
  if (data.subarray(at, at + 4).equals(TRUE)) return 1;
  return data.subarray(at, at + 5).equals(FALSE) ? 0 : undefined;
}

const TRUE = Buffer.from("true");
const FALSE = Buffer.from("false");

function textElements(input: Input, data: Buffer): readonly string[] {
  const elements: string[] = [];
  walkData(input, data, (at) => {
    const end = stringEnd(data, at);
    if (data[at] !== QUOTE) {
      throw new ServiceError(
        "badRequest",
        `input ${input.name}: elements of BYTES must be strings`,
      );
    }
    const isClosed = end > at + 1 && data[end - 1] === QUOTE;
    const plain = isClosed ? plainText(data, at + 1, end - 1) : undefined;
    elements.push(plain ?? textOf(input.name, data.subarray(at, end), elements.length));
    return end;
  });
  return elements;
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function textOf(name: string, quoted: Buffer, index: number): string {
  let text: string;
  try {
    text = String(JSON.parse(strictUtf8.decode(quoted)));
  } catch (cause) {
    const message = `input ${name}: element ${index} is no JSON string in UTF-8`;
    throw new ServiceError("badRequest", message, { cause });
  }
  checkText(name, text);
  return text;
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

type Numeric = Exclude<Datatype, "BYTES" | "FP16">;
type Convert = (number: NumberReader) => number | bigint | undefined;

const integer =
  (bits: 8 | 16 | 32, signed: boolean): Convert =>
  ({ value }) => {
    const [low, high] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
    return Number.isInteger(value) && value >= low && value <= high ? value : undefined;
  };

/** More digits than any 64-bit integer has, sign included: not worth a BigInt. */
const MAX_LONG_CHARACTERS = 20;

const long =
  (fit: (value: bigint) => bigint): Convert =>
  (number) => {
    const text = number.isLong ? number.text() : undefined;
    if (text === undefined && !Number.isSafeInteger(number.value)) return undefined;
    if (text !== undefined && text.length > MAX_LONG_CHARACTERS) return undefined;
    const value = BigInt(text ?? number.value);
    return fit(value) === value ? value : undefined;
  };

/** A number beyond the datatype's range would become an infinity. */
const real =
  (round: (value: number) => number): Convert =>
  ({ value }) =>
    Number.isFinite(round(value)) ? value : undefined;

const CONVERT: Readonly<Record<Numeric, Convert>> = {
  BOOL: () => undefined,
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
