import type { InferRequest } from "../../app/infer.js";
import { refuseSharedMemory, requestedOutputs } from "../../app/requested-outputs.js";
import { tensorFromBytes } from "../../app/tensor-bytes.js";
import { ServiceError } from "../../core/error.js";
import { checkInput } from "../../core/serving/check-inputs.js";
import { inputHead } from "../../core/serving/input-head.js";
import type { ModelSpec } from "../../core/serving/model-spec.js";
import { requestOptions } from "../../core/serving/request-parameters.js";
import type { ParameterValue } from "../../core/serving/request-parameters.js";
import type { Tensor } from "../../core/serving/tensor.js";
import { tensorFromContents } from "./tensor-contents.js";
import { FIXED64, LENGTH, tagOf, VARINT, WireReader } from "./wire-reader.js";

/** A ModelInferRequest whose tensors are still the bytes of the message. */
export type WireRequest = {
  model: string;
  version: string;
  id: string;
  readonly parameters: Map<string, ParameterValue>;
  readonly inputs: WireInput[];
  readonly outputs: WireOutput[];
  /** raw_input_contents */
  readonly raw: Buffer[];
};

type WireInput = {
  name: string;
  datatype: string;
  readonly shape: number[];
  readonly parameters: Map<string, ParameterValue>;
  /** InferTensorContents, in as many pieces as were sent; a message is the sum of its pieces. */
  readonly contents: Buffer[];
};

type WireOutput = { name: string; readonly parameters: Map<string, ParameterValue> };

export function decodeInferRequest(bytes: Buffer): WireRequest {
  return new RequestDecoder().request(bytes);
}

/** Far more than any model has; of nothing but parts, a message would take many times its bytes. */
const MAX_PARTS = 16_384;

/** Fields of one message that are equal in kind may stand anywhere, and of one value the last counts. */
class RequestDecoder {
  /** Inputs, outputs, tensors, parameters and axes. */
  #parts = 0;

  request(bytes: Buffer): WireRequest {
    const reader = new WireReader(bytes);
    const request: WireRequest = {
      model: "",
      version: "",
      id: "",
      parameters: new Map(),
      inputs: [],
      outputs: [],
      raw: [],
    };
    while (reader.next()) {
      if (reader.tag === tagOf(1, LENGTH)) request.model = reader.string();
      else if (reader.tag === tagOf(2, LENGTH)) request.version = reader.string();
      else if (reader.tag === tagOf(3, LENGTH)) request.id = reader.string();
      else if (reader.tag === tagOf(4, LENGTH)) this.#entry(reader.bytes(), request.parameters);
      else if (reader.tag === tagOf(5, LENGTH)) request.inputs.push(this.#input(reader.bytes()));
      else if (reader.tag === tagOf(6, LENGTH)) request.outputs.push(this.#output(reader.bytes()));
      else if (reader.tag === tagOf(7, LENGTH)) request.raw.push(this.#part(reader));
      else reader.skip();
    }
    return request;
  }

  #input(bytes: Buffer): WireInput {
    this.#count();
    const reader = new WireReader(bytes);
    const input: WireInput = {
      name: "",
      datatype: "",
      shape: [],
      parameters: new Map(),
      contents: [],
    };
    while (reader.next()) {
      if (reader.tag === tagOf(1, LENGTH)) input.name = reader.string();
      else if (reader.tag === tagOf(2, LENGTH)) input.datatype = reader.string();
      else if (reader.tag === tagOf(3, LENGTH)) this.#sizes(reader.bytes(), input.shape);
      else if (reader.tag === tagOf(3, VARINT)) this.#size(reader, input.shape);
      else if (reader.tag === tagOf(4, LENGTH)) this.#entry(reader.bytes(), input.parameters);
      else if (reader.tag === tagOf(5, LENGTH)) input.contents.push(this.#part(reader));
      else reader.skip();
    }
    return input;
  }

  #sizes(packed: Buffer, shape: number[]): void {
    const reader = new WireReader(packed);
    while (reader.at < packed.length) this.#size(reader, shape);
  }

  #size(reader: WireReader, shape: number[]): void {
    this.#count();
    shape.push(reader.int64());
  }

  #output(bytes: Buffer): WireOutput {
    this.#count();
    const reader = new WireReader(bytes);
    const output: WireOutput = { name: "", parameters: new Map() };
    while (reader.next()) {
      if (reader.tag === tagOf(1, LENGTH)) output.name = reader.string();
      else if (reader.tag === tagOf(2, LENGTH)) this.#entry(reader.bytes(), output.parameters);
      else reader.skip();
    }
    return output;
  }

  /** One entry of a map of InferParameter; one without a value says nothing. */
  #entry(bytes: Buffer, parameters: Map<string, ParameterValue>): void {
    this.#count();
    const reader = new WireReader(bytes);
    let key = "";
    let value: ParameterValue | undefined;
    while (reader.next()) {
      if (reader.tag === tagOf(1, LENGTH)) key = reader.string();
      else if (reader.tag === tagOf(2, LENGTH)) value = decodeParameter(reader.bytes()) ?? value;
      else reader.skip();
    }
    if (value !== undefined) parameters.set(key, value);
  }

  #part(reader: WireReader): Buffer {
    this.#count();
    return reader.bytes();
  }

  #count(): void {
    this.#parts += 1;
    if (this.#parts <= MAX_PARTS) return;
    throw bad(`the request has more than ${MAX_PARTS} inputs, outputs, parameters and axes`);
  }
}

function decodeParameter(bytes: Buffer): ParameterValue | undefined {
  const reader = new WireReader(bytes);
  let value: ParameterValue | undefined;
  while (reader.next()) {
    if (reader.tag === tagOf(1, VARINT)) value = reader.bool();
    else if (reader.tag === tagOf(2, VARINT)) value = reader.int64();
    else if (reader.tag === tagOf(3, LENGTH)) value = reader.string();
    else if (reader.tag === tagOf(4, FIXED64)) value = reader.double();
    else if (reader.tag === tagOf(5, VARINT)) value = reader.uint64();
    else reader.skip();
  }
  return value;
}

/** What the request asks of this model; the checks are those of HTTP, and say the same. */
export function toInferRequest(spec: ModelSpec, request: WireRequest): InferRequest {
  const { inputs, raw } = request;
  if (raw.length > 0 && raw.length !== inputs.length) {
    throw bad(
      `raw_input_contents has ${raw.length} entries for ${inputs.length} inputs: send one for each, in their order`,
    );
  }
  const tensors = new Map<string, Tensor>();
  for (const [index, input] of inputs.entries()) {
    if (tensors.has(input.name)) throw bad(`input ${quote(input.name)} is there twice`);
    tensors.set(input.name, tensorOf(spec, input, raw[index]));
  }
  const { timeoutMs, priority, tenant, sequence } = requestOptions(request.parameters);
  const outputs = requestedOutputs(request.outputs);
  return { input: { kind: "tensors", tensors }, outputs, timeoutMs, priority, tenant, sequence };
}

function tensorOf(spec: ModelSpec, input: WireInput, raw: Buffer | undefined): Tensor {
  const head = inputHead(input.name, input.datatype, input.shape);
  const quoted = quote(head.name);
  checkInput(spec, head);
  refuseSharedMemory(`input ${quoted}`, input.parameters);
  const { contents } = input;
  if (raw !== undefined) {
    if (contents.some(({ length }) => length > 0)) {
      throw bad(`input ${quoted} has contents, and the request raw_input_contents: send one`);
    }
    return tensorFromBytes(quoted, head.datatype, head.shape, raw);
  }
  const [first = NOTHING, ...more] = contents;
  return tensorFromContents(head, more.length === 0 ? first : Buffer.concat(contents));
}

const NOTHING = Buffer.alloc(0);

const bad = (message: string) => new ServiceError("badRequest", message);
const quote = (name: string) => JSON.stringify(name);
