import type { InferRequest } from "../../app/infer.js";
import { refuseSharedMemory, requestedOutputs } from "../../app/requested-outputs.js";
import { tensorFromBytes, textOf } from "../../app/tensor-bytes.js";
import { ServiceError } from "../../core/error.js";
import { checkInput } from "../../core/serving/check-inputs.js";
import { inputHead } from "../../core/serving/input-head.js";
import type { InputHead } from "../../core/serving/input-head.js";
import type { ModelSpec } from "../../core/serving/model-spec.js";
import { flag, requestOptions } from "../../core/serving/request-parameters.js";
import { elementBytes, elementCount } from "../../core/serving/tensor.js";
import type { Tensor } from "../../core/serving/tensor.js";
import { parseDocument } from "./json-document.js";
import type { JsonObject } from "./json-fields.js";
import { bad, count, listOf, nameOf, objectOf, parametersOf } from "./json-fields.js";
import { quickDocument, quickElements } from "./json-quick.js";
import { isJson } from "./media-type.js";
import { tensorFromJson } from "./tensor-json.js";

/** How the answer is to be written. */
export type ReplyForm = {
  readonly id: string | undefined;
  readonly isBinary: (output: string) => boolean;
};

export type InferBody = {
  readonly bytes: Buffer;
  readonly contentType: string | undefined;
  /** `Inference-Header-Content-Length`: bytes of JSON before the binary tensors; 0: no JSON. */
  readonly jsonBytes: string | undefined;
  readonly maxJsonBytes: number;
};

type Parsed = { readonly request: InferRequest; readonly form: ReplyForm };

/** Reads the body of POST …/infer in each of its forms. */
export function parseInferBody(spec: ModelSpec, body: InferBody): Parsed {
  const { bytes, jsonBytes } = body;
  if (jsonBytes === undefined) {
    if (spec.takesRawBody && !isJson(body.contentType)) return rawBody(spec, bytes, false);
    return parseJsonBody(spec, body, bytes.length);
  }
  const split = /^\d{1,15}$/.test(jsonBytes) ? Number(jsonBytes) : Infinity;
  if (split > bytes.length) {
    throw bad(
      `Inference-Header-Content-Length is ${JSON.stringify(jsonBytes)}, the body has ${bytes.length} bytes`,
    );
  }
  return split === 0 ? rawBody(spec, bytes, true) : parseJsonBody(spec, body, split);
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

function parseJsonBody(
  spec: ModelSpec,
  { bytes, maxJsonBytes }: InferBody,
  jsonBytes: number,
): Parsed {
  if (jsonBytes > maxJsonBytes) {
    const message = `${jsonBytes} bytes of JSON are over the limit of ${maxJsonBytes} (--max-json-bytes): send tensors as binary data`;
    throw new ServiceError("tooLarge", message);
  }
  const json = bytes.subarray(0, jsonBytes);
  const quick = quickDocument(json);
  let exact = quick === undefined ? parseDocument(json) : undefined;
  const document = objectOf(quick ?? exact?.value, "the body");
  const { id, inputs: entries } = document;
  if (id !== undefined && typeof id !== "string") throw bad("id must be a string");
  const options = requestOptions(parametersOf(document["parameters"], "parameters"));
  const outputs = parseOutputs(document["outputs"], options.binaryOutputs);
  const dataText = (index: number) => (exact ??= parseDocument(json)).data.get(index);
  const tensors = parseInputs(spec, entries, dataText, bytes.subarray(jsonBytes));
  const { timeoutMs, priority, tenant, sequence } = options;
  const input = { kind: "tensors", tensors } as const;
  const request = { input, outputs: outputs.wanted, timeoutMs, priority, tenant, sequence };
  return { request, form: { id, isBinary: outputs.isBinary } };
}

function parseInputs(
  spec: ModelSpec,
  inputs: unknown,
  dataText: (index: number) => Buffer | undefined,
  binary: Buffer,
): ReadonlyMap<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  let rest = binary;
  for (const [index, entry] of listOf(inputs, "inputs").entries()) {
    const input = objectOf(entry, "each of inputs");
    const name = nameOf(input["name"], "inputs");
    if (tensors.has(name)) throw bad(`input ${JSON.stringify(name)} is there twice`);
    const head = headOf(name, input);
    checkInput(spec, head);
    const { tensor, used } = parseInput(head, input, () => dataText(index), rest);
    tensors.set(name, tensor);
    rest = rest.subarray(used);
  }
  if (rest.length > 0) throw bad(`${rest.length} bytes of the body belong to no input`);
  return tensors;
}

function headOf(name: string, { shape: axes, datatype }: JsonObject): InputHead {
  const what = `each size in the shape of input ${name}`;
  const shape = listOf(axes, `shape of input ${name}`).map((size) => count(size, what));
  return inputHead(name, datatype, shape);
}

function parseInput(
  head: InputHead,
  input: JsonObject,
  dataText: () => Buffer | undefined,
  binary: Buffer,
) {
  const quoted = JSON.stringify(head.name);
  const parameters = parametersOf(input["parameters"], `parameters of input ${quoted}`);
  refuseSharedMemory(`input ${quoted}`, parameters);
  const size = parameters.get("binary_data_size");
  if (size === undefined) {
    return { tensor: jsonTensor(head, input["data"], dataText), used: 0 };
  }
  if (input["data"] !== undefined) throw bad(`input ${quoted} has both data and binary_data_size`);
  const used = count(size, `binary_data_size of input ${quoted}`);
  if (used > binary.length) {
    throw bad(`input ${quoted}: binary_data_size is ${used}, the body has ${binary.length} left`);
  }
  const { datatype, shape } = head;
  return { tensor: tensorFromBytes(quoted, datatype, shape, binary.subarray(0, used)), used };
}

/** @param parsed  what the quick parser made of `data`; null where there is only its text */
function jsonTensor(head: InputHead, parsed: unknown, dataText: () => Buffer | undefined): Tensor {
  const { datatype, shape, name } = head;
  const elements = Array.isArray(parsed) ? quickElements(head, parsed) : undefined;
  if (elements !== undefined) return { datatype, shape, data: elements };
  const text = dataText();
  if (text === undefined) throw bad(`input ${JSON.stringify(name)}: data must be an array`);
  return tensorFromJson(head, text);
}

function parseOutputs(outputs: unknown, allBinary: boolean) {
  if (outputs === undefined) return { wanted: undefined, isBinary: () => allBinary };
  const named = listOf(outputs, "outputs").map((entry) => {
    const output = objectOf(entry, "each of outputs");
    const name = nameOf(output["name"], "outputs");
    const what = `parameters of output ${JSON.stringify(name)}`;
    const parameters = parametersOf(output["parameters"], what);
    return { name, parameters, isBinary: flag(parameters, "binary_data", allBinary) };
  });
  const wanted = requestedOutputs(named);
  const binary = new Map(named.map(({ name, isBinary }) => [name, isBinary]));
  return { wanted, isBinary: (output: string) => binary.get(output) ?? allBinary };
}
