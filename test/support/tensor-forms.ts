import { tensorBytes, tensorFromBytes } from "../../src/app/tensor-bytes.js";
import type { NumericArray, Tensor } from "../../src/core/serving/tensor.js";
import type { Datatype } from "../../src/schema/model-manifest.js";
import type { NamedTensor } from "./onnx-node-tests.js";

/** Tensors in the forms of the protocol, written and read as a client would, apart from src's own. */

type Tensors = readonly NamedTensor[];
type Json = Readonly<Record<string, unknown>>;

/** FP16, NaN and the infinities have no form in JSON. */
export const fitsJson = (tensors: Tensors) =>
  tensors.every(
    ({ tensor: { datatype, data } }) =>
      datatype !== "FP16" &&
      (!datatype.startsWith("FP") || (data as Float32Array).every(Number.isFinite)),
  );

export function httpRequest(
  inputs: Tensors,
  form: { readonly binaryInputs: boolean; readonly binaryOutputs: boolean },
) {
  const heads = inputs.map(({ name, tensor }) => {
    const head = `"name":${JSON.stringify(name)},"datatype":"${tensor.datatype}","shape":[${tensor.shape.join(",")}]`;
    return form.binaryInputs
      ? `{${head},"parameters":{"binary_data_size":${tensorBytes(tensor).length}}}`
      : `{${head},"data":[${elementsAsJson(tensor).join(",")}]}`;
  });
  const parameters = `{"binary_data_output":${form.binaryOutputs}}`;
  const json = Buffer.from(`{"parameters":${parameters},"inputs":[${heads.join(",")}]}`);
  const tails = form.binaryInputs ? inputs.map(({ tensor }) => tensorBytes(tensor)) : [];
  return { body: Buffer.concat([json, ...tails]), jsonBytes: json.length };
}

function elementsAsJson({ datatype, data }: Tensor): readonly string[] {
  if (datatype === "BYTES") return (data as readonly string[]).map((text) => JSON.stringify(text));
  if (datatype === "BOOL") return Array.from(data as Uint8Array, (bit) => String(bit === 1));
  return Array.from(data as Float64Array, (value) =>
    Object.is(value, -0) ? "-0.0" : String(value),
  );
}

type JsonOutput = {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data?: readonly unknown[];
  readonly parameters?: { readonly binary_data_size: number };
};

/** @param jsonBytes  of the body, before the binary tensors; undefined: all of it */
export function httpOutputs(body: Buffer, jsonBytes: number | undefined): Tensors {
  const json = body.subarray(0, jsonBytes ?? body.length).toString("utf8");
  // 64-bit integers do not survive JSON.parse: they are read as the text that they are.
  const quoted = json.replace(/(?<=[[,])-?\d{16,}(?=[,\]])/g, '"$&"');
  const { outputs } = JSON.parse(quoted) as { readonly outputs: readonly JsonOutput[] };
  let at = jsonBytes ?? body.length;
  return outputs.map(({ name, datatype, shape, data, parameters }) => {
    if (data !== undefined) return { name, tensor: fromElements(datatype, shape, data) };
    const end = at + (parameters?.binary_data_size ?? 0);
    const tensor = tensorFromBytes(name, datatype, shape, body.subarray(at, end));
    at = end;
    return { name, tensor };
  });
}

/** Typed contents by datatype; FP16 has none. */
const CONTENTS: Readonly<Record<Datatype, string | undefined>> = {
  ...{ BOOL: "bool_contents", FP16: undefined, FP32: "fp32_contents", FP64: "fp64_contents" },
  ...{ INT8: "int_contents", INT16: "int_contents", INT32: "int_contents" },
  ...{ UINT8: "uint_contents", UINT16: "uint_contents", UINT32: "uint_contents" },
  ...{ INT64: "int64_contents", UINT64: "uint64_contents", BYTES: "bytes_contents" },
};

export function grpcRequest(model: string, inputs: Tensors, raw: boolean): Json {
  const tensors = inputs.map(({ name, tensor: { datatype, shape, data } }) => {
    const field = CONTENTS[datatype];
    const elements = Array.from(data as readonly unknown[], (element) =>
      datatype === "BYTES" ? Buffer.from(String(element)) : element,
    );
    const values = datatype.endsWith("64") && datatype !== "FP64" ? elements.map(String) : elements;
    const flags = datatype === "BOOL" ? values.map((bit) => bit === 1) : values;
    const contents = raw || field === undefined ? {} : { contents: { [field]: flags } };
    return { name, datatype, shape, ...contents };
  });
  const raws = raw ? inputs.map(({ tensor }) => Buffer.from(tensorBytes(tensor))) : [];
  return { model_name: model, inputs: tensors, raw_input_contents: raws };
}

type GrpcReply = {
  readonly outputs: readonly {
    readonly name: string;
    readonly datatype: Datatype;
    readonly shape: readonly string[];
    readonly contents: Readonly<Record<string, readonly unknown[]>> | null;
  }[];
  readonly raw_output_contents: readonly Buffer[];
};

export function grpcOutputs(reply: Json): Tensors {
  const { outputs, raw_output_contents: raws } = reply as unknown as GrpcReply;
  return outputs.map(({ name, datatype, shape: sizes, contents }, index) => {
    const shape = sizes.map(Number);
    const raw = raws[index];
    if (raw !== undefined) return { name, tensor: tensorFromBytes(name, datatype, shape, raw) };
    const elements = contents?.[CONTENTS[datatype] ?? ""] ?? [];
    const texts = datatype === "BYTES" ? elements.map(String) : elements;
    return { name, tensor: fromElements(datatype, shape, texts) };
  });
}

const ARRAY_OF = {
  ...{ BOOL: Uint8Array, UINT8: Uint8Array, UINT16: Uint16Array, UINT32: Uint32Array },
  ...{ INT8: Int8Array, INT16: Int16Array, INT32: Int32Array, FP16: Uint16Array },
  ...{ FP32: Float32Array, FP64: Float64Array },
} as const;

function fromElements(
  datatype: Datatype,
  shape: readonly number[],
  data: readonly unknown[],
): Tensor {
  if (datatype === "BYTES") return { datatype, shape, data: data as readonly string[] };
  const long = (value: unknown) => BigInt(value as string);
  if (datatype === "INT64") return { datatype, shape, data: BigInt64Array.from(data, long) };
  if (datatype === "UINT64") return { datatype, shape, data: BigUint64Array.from(data, long) };
  const array: NumericArray = ARRAY_OF[datatype].from(data.map(Number));
  return { datatype, shape, data: array };
}

/** onnx's own test runner compares with these. */
const [RELATIVE, ABSOLUTE] = [1e-3, 1e-7];

/** Undefined: they agree. */
export function difference(actual: Tensor | undefined, wanted: Tensor): string | undefined {
  if (actual?.datatype !== wanted.datatype) return `datatype ${String(actual?.datatype)}`;
  if (actual.shape.join() !== wanted.shape.join()) return `shape [${actual.shape.join()}]`;
  const isReal = wanted.datatype.startsWith("FP");
  const [ours, theirs] = [actual, wanted].map(({ datatype, data }) =>
    datatype === "FP16" ? Array.from(data as Uint16Array, halfToNumber) : data,
  ) as [readonly unknown[], readonly unknown[]];
  for (let at = 0; at < theirs.length; at += 1) {
    const [a, b] = [ours[at], theirs[at]];
    if (Object.is(a, b) || a === b) continue;
    if (isReal && Math.abs(Number(a) - Number(b)) <= ABSOLUTE + RELATIVE * Math.abs(Number(b)))
      continue;
    return `element ${at}: ${String(a)} and not ${String(b)}`;
  }
  return undefined;
}

/** IEEE 754 binary16. */
function halfToNumber(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0
    ? sign * fraction * 2 ** -24
    : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
