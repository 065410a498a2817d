import type { InferRequest } from "../../app/infer.js";
import { tensorFromBytes, textOf } from "../../app/tensor-bytes.js";
import { ServiceError } from "../../core/error.js";
import type { ModelSpec } from "../../core/serving/model-spec.js";
import { elementBytes, elementCount, isDatatype } from "../../core/serving/tensor.js";
import type { Tensor } from "../../core/serving/tensor.js";
import { exactInteger, parseExactJson } from "./exact-json.js";
import { tensorFromJson } from "./tensor-json.js";

/** How the answer is to be written. */
export type ReplyForm = {
  readonly id: string | undefined;
  readonly isBinary: (output: string) => boolean;
};

export type InferBody = {
  readonly bytes: Uint8Array;
  readonly contentType: string | undefined;
  /** `Inference-Header-Content-Length`: bytes of JSON before the binary tensors; 0: no JSON. */
  readonly jsonBytes: string | undefined;
};

type Parsed = { readonly request: InferRequest; readonly form: ReplyForm };
type JsonObject = Readonly<Record<string, unknown>>;

/** Reads the body of POST …/infer in each of its forms. */
export function parseInferBody(spec: ModelSpec, body: InferBody): Parsed {
  const { bytes, jsonBytes } = body;
  if (jsonBytes === undefined) {
    if (spec.takesRawBody && !isJson(body.contentType)) return rawBody(spec, bytes, false);
    return parseJsonBody(bytes, bytes.subarray(bytes.length));
  }
  const split = /^\d{1,15}$/.test(jsonBytes) ? Number(jsonBytes) : Infinity;
  if (split > bytes.length) {
    throw bad(
      `Inference-Header-Content-Length is ${JSON.stringify(jsonBytes)}, the body has ${bytes.length} bytes`,
    );
  }
  if (split === 0) return rawBody(spec, bytes, true);
  return parseJsonBody(bytes.subarray(0, split), bytes.subarray(split));
}

function isJson(contentType: string | undefined): boolean {
  return contentType === undefined || /^application\/([^;]*\+)?json\s*(;|$)/i.test(contentType);
}

function rawBody(spec: ModelSpec, bytes: Uint8Array, binary: boolean): Parsed {
  const form = { id: undefined, isBinary: () => binary };
  if (spec.takesRawBody) {
    // A copy with memory of its own: it is handed to another thread.
    const body = new Uint8Array(bytes);
    return { request: { input: { kind: "raw", body }, priority: 0 }, form };
  }
  const [input, another] = spec.inputs;
  if (input === undefined || another !== undefined) {
    throw bad(`a body without JSON needs a model with one input, this has ${spec.inputs.length}`);
  }
  const tensor = tensorOfBody(input, bytes);
  const tensors = new Map([[input.name, tensor]]);
  return { request: { input: { kind: "tensors", tensors }, priority: 0 }, form };
}

/** One item; the body's length says the size of the one axis that varies. */
function tensorOfBody(input: ModelSpec["inputs"][number], bytes: Uint8Array): Tensor {
  const { name, datatype } = input;
  const batch = input.shape[0] === -1 ? 1 : input.shape[0];
  const severalVary = input.shape.filter((size) => size === -1).length > 1;
  const isItems = severalVary || datatype === "BYTES";
  const shape = isItems && batch !== undefined ? [batch, ...input.shape.slice(1)] : input.shape;
  const varying = shape.filter((size) => size === -1).length;
  if (varying > 1) throw bad(`input ${name} has ${varying} axes of any size: send it as a tensor`);
  const fixed = elementCount(shape.map((size) => (size === -1 ? 1 : size)));
  if (datatype === "BYTES") {
    if (varying > 0 || fixed !== 1) throw bad(`input ${name} takes no single BYTES element`);
    return { datatype, shape, data: [textOf(name, bytes)] };
  }
  const size = bytes.length / (fixed * (elementBytes(datatype) ?? 1));
  if (!Number.isInteger(size)) {
    throw bad(`the body has ${bytes.length} bytes, which is no whole number of ${name} elements`);
  }
  const known = shape.map((axis) => (axis === -1 ? size : axis));
  return tensorFromBytes(name, datatype, known, bytes);
}

function parseJsonBody(json: Uint8Array, binary: Uint8Array): Parsed {
  const document = objectOf(parseJson(json), "the body");
  const parameters = optionalObject(document["parameters"], "parameters");
  const input = { kind: "tensors", tensors: parseInputs(document["inputs"], binary) } as const;
  const outputs = parseOutputs(document["outputs"], parameters["binary_data_output"] === true);
  const request = {
    input,
    outputs: outputs.names,
    timeoutMs: timeoutMsOf(parameters["timeout"]),
    priority: count(parameters["priority"] ?? 0, "parameters.priority"),
  };
  return { request, form: { id: idOf(document["id"]), isBinary: outputs.isBinary } };
}

function parseJson(json: Uint8Array): unknown {
  try {
    return parseExactJson(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (cause) {
    const because = cause instanceof SyntaxError ? cause.message : "it is not valid UTF-8";
    throw new ServiceError("badRequest", `the body is not JSON: ${because}`, { cause });
  }
}

function idOf(id: unknown): string | undefined {
  if (id === undefined || typeof id === "string") return id;
  throw bad("id must be a string");
}

/** Microseconds; 0 is no timeout, as in Triton's schedule_policy extension. */
function timeoutMsOf(timeout: unknown): number | undefined {
  const microseconds = count(timeout ?? 0, "parameters.timeout");
  return microseconds === 0 ? undefined : microseconds / 1000;
}

function parseInputs(inputs: unknown, binary: Uint8Array): ReadonlyMap<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  let rest = binary;
  for (const entry of listOf(inputs, "inputs")) {
    const input = objectOf(entry, "each of inputs");
    const name = nameOf(input["name"], "inputs");
    if (tensors.has(name)) throw bad(`input ${JSON.stringify(name)} is there twice`);
    const { tensor, used } = parseInput(name, input, rest);
    tensors.set(name, tensor);
    rest = rest.subarray(used);
  }
  if (rest.length > 0) throw bad(`${rest.length} bytes of the body belong to no input`);
  return tensors;
}

function parseInput(name: string, input: JsonObject, binary: Uint8Array) {
  const parameters = optionalObject(input["parameters"], `parameters of input ${name}`);
  const { shape: axes, datatype, data } = input;
  const quoted = JSON.stringify(name);
  if (datatype === "BF16") throw bad(`input ${quoted} is BF16, which ONNX Runtime here lacks`);
  if (!isDatatype(datatype)) throw bad(`datatype of input ${quoted} is none of the protocol's`);
  const shape = listOf(axes, `shape of input ${name}`).map((size) => {
    const known = count(size, `each size in the shape of input ${name}`);
    if (known < 2 ** 31) return known;
    throw bad(`input ${quoted} has an axis of ${known}, the limit is 2147483647`);
  });
  const size = parameters["binary_data_size"];
  if (parameters["shared_memory_region"] !== undefined) {
    throw new ServiceError("unsupported", `input ${quoted}: shared memory is not supported`);
  }
  if (size === undefined) {
    return { tensor: tensorFromJson(quoted, datatype, shape, data), used: 0 };
  }
  if (data !== undefined) throw bad(`input ${quoted} has both data and binary_data_size`);
  const used = count(size, `binary_data_size of input ${name}`);
  if (used > binary.length) {
    throw bad(`input ${quoted}: binary_data_size is ${used}, the body has ${binary.length} left`);
  }
  return { tensor: tensorFromBytes(quoted, datatype, shape, binary.subarray(0, used)), used };
}

function parseOutputs(outputs: unknown, allBinary: boolean) {
  if (outputs === undefined) return { names: undefined, isBinary: () => allBinary };
  const binaryOf = new Map<string, boolean>();
  for (const entry of listOf(outputs, "outputs")) {
    const output = objectOf(entry, "each of outputs");
    const name = nameOf(output["name"], "outputs");
    const parameters = optionalObject(output["parameters"], `parameters of output ${name}`);
    const binary = parameters["binary_data"];
    if (binaryOf.has(name)) throw bad(`output ${JSON.stringify(name)} is asked for twice`);
    if (parameters["classification"] !== undefined) {
      throw new ServiceError("unsupported", "the classification extension is not supported");
    }
    binaryOf.set(name, binary === undefined ? allBinary : binary === true);
  }
  const names = binaryOf.size === 0 ? undefined : [...binaryOf.keys()];
  return { names, isBinary: (output: string) => binaryOf.get(output) ?? allBinary };
}

function objectOf(value: unknown, what: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw bad(`${what} must be a JSON object`);
  }
  // Without a prototype, so that no key of the body can be mistaken for one of Object's.
  return Object.assign(Object.create(null) as JsonObject, value);
}

const optionalObject = (value: unknown, what: string) =>
  value === undefined ? objectOf({}, what) : objectOf(value, what);

function listOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw bad(`${what} must be a list`);
  return value;
}

function nameOf(value: unknown, where: string): string {
  if (typeof value !== "string") throw bad(`each of ${where} must have a name, a string`);
  return value;
}

function count(value: unknown, what: string): number {
  const exact = exactInteger(value);
  if (exact === undefined || exact < 0n) throw bad(`${what} must be an integer of 0 or more`);
  return Number(exact);
}

function bad(message: string): ServiceError {
  return new ServiceError("badRequest", message);
}
