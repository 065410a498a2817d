import fc from "fast-check";
import { expect, test } from "vitest";
import { tensorBytes } from "../../../../src/app/tensor-bytes.js";
import { elementCount } from "../../../../src/core/serving/tensor.js";
import type { Tensor } from "../../../../src/core/serving/tensor.js";
import { decodeInferRequest } from "../../../../src/servers/inference-grpc/infer-request.js";
import {
  encodeInferResponse,
  encodeStreamResponse,
} from "../../../../src/servers/inference-grpc/infer-response.js";
import {
  tensorFromContents,
  writeContents,
} from "../../../../src/servers/inference-grpc/tensor-contents.js";
import { WireWriter } from "../../../../src/servers/inference-grpc/wire-writer.js";
import { message } from "../../../support/inference-grpc-client.js";

const word = fc.string({ unit: "grapheme", maxLength: 20 });
const parameters = fc.dictionary(
  word.filter((name) => name !== "__proto__"),
  fc.oneof(
    fc.record({ bool_param: fc.boolean() }),
    fc.record({ int64_param: fc.maxSafeInteger().map(String) }),
    fc.record({ string_param: word }),
    fc.record({ double_param: fc.double({ noNaN: true }) }),
    fc.record({ uint64_param: fc.maxSafeNat().map(String) }),
  ),
  { maxKeys: 3 },
);
const valuesOf = (of: Readonly<Record<string, Readonly<Record<string, unknown>>>>) =>
  Object.fromEntries(
    Object.entries(of).map(([name, value]) => {
      const [kind, inner] = Object.entries(value)[0] ?? [""];
      return [name, /int64/.test(kind) ? Number(inner) : inner];
    }),
  );

test("requests are read as protobuf.js wrote them", () => {
  const request = fc.record({
    ...{ model_name: word, model_version: word, id: word, parameters },
    inputs: fc.array(
      fc.record({
        ...{ name: word, datatype: word, parameters },
        shape: fc.array(fc.maxSafeInteger(), { maxLength: 4 }),
      }),
      { maxLength: 3 },
    ),
    outputs: fc.array(fc.record({ name: word, parameters }), { maxLength: 3 }),
    raw_input_contents: fc.array(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      { maxLength: 3 },
    ),
  });
  const law = fc.property(request, (sent) => {
    const read = decodeInferRequest(message("ModelInferRequest").serialize(sent));
    expect({
      ...read,
      parameters: Object.fromEntries(read.parameters),
      inputs: read.inputs.map(({ contents, ...input }) => {
        expect(contents).toEqual([]);
        return { ...input, parameters: Object.fromEntries(input.parameters) };
      }),
      outputs: read.outputs.map((each) => ({
        ...each,
        parameters: Object.fromEntries(each.parameters),
      })),
    }).toEqual({
      ...{ model: sent.model_name, version: sent.model_version, id: sent.id },
      parameters: valuesOf(sent.parameters),
      inputs: sent.inputs.map((each) => ({ ...each, parameters: valuesOf(each.parameters) })),
      outputs: sent.outputs.map((each) => ({ ...each, parameters: valuesOf(each.parameters) })),
      raw: sent.raw_input_contents,
    });
  });
  fc.assert(law);
});

const bytes = (length: number) => fc.uint8Array({ minLength: length * 8, maxLength: length * 8 });
/** Of any bit pattern, such as NaNs of every kind. */
const numeric = fc
  .nat({ max: 70 })
  .chain((length) => bytes(length).map((pattern) => ({ length, pattern })))
  .chain(({ length, pattern }) => {
    const of = (datatype: Tensor["datatype"], data: Tensor["data"]) =>
      ({ datatype, shape: [length], data }) satisfies Tensor;
    const { buffer } = pattern.slice();
    return fc.constantFrom<Tensor>(
      of(
        "BOOL",
        new Uint8Array(buffer, 0, length).map((each) => each & 1),
      ),
      of("INT8", new Int8Array(buffer, 0, length)),
      of("UINT8", new Uint8Array(buffer, 0, length)),
      of("INT16", new Int16Array(buffer, 0, length)),
      of("UINT16", new Uint16Array(buffer, 0, length)),
      of("INT32", new Int32Array(buffer, 0, length)),
      of("UINT32", new Uint32Array(buffer, 0, length)),
      of("INT64", new BigInt64Array(buffer, 0, length)),
      of("UINT64", new BigUint64Array(buffer, 0, length)),
      of("FP32", new Float32Array(buffer, 0, length)),
      of("FP64", new Float64Array(buffer, 0, length)),
    );
  });
const strings = fc.array(fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0")));
const tensor: fc.Arbitrary<Tensor> = fc.oneof(
  { weight: 4, arbitrary: numeric },
  strings.map((data): Tensor => ({ datatype: "BYTES", shape: [data.length], data })),
);

test("a tensor written as contents is read as it was, and so by protobuf.js", () => {
  const law = fc.property(tensor, (each) => {
    const writer = new WireWriter(1);
    writeContents(writer, each);
    const written = writer.finish();
    const read = tensorFromContents({ name: "x", ...each }, written);
    expect(read.shape).toEqual(each.shape);
    expect(Buffer.from(tensorBytes(read)).equals(tensorBytes(each))).toBe(true);
    const theirs = message("InferTensorContents").deserialize(written);
    const lists = Object.values(theirs).filter(
      (list): list is readonly unknown[] => Array.isArray(list) && list.length > 0,
    );
    expect(lists.flat()).toHaveLength(elementCount(each.shape));
    if (each.datatype === "INT64") expect(lists.flat()).toEqual(Array.from(each.data, String));
  });
  fc.assert(law, { numRuns: 500 });
});

test("answers are read by protobuf.js as they were meant, raw and in contents", () => {
  const response = fc.record({
    ...{ model: word, version: word, id: word, raw: fc.boolean() },
    outputs: fc.uniqueArray(fc.tuple(word, tensor), { selector: ([name]) => name, maxLength: 3 }),
  });
  const law = fc.property(response, word, ({ outputs, ...head }, error) => {
    const given = { ...head, outputs: new Map(outputs) };
    const expected = {
      ...{ model_name: head.model, model_version: head.version, id: head.id },
      outputs: outputs.map(([name, { datatype, shape }]) => {
        return { name, datatype, shape: shape.map(String) };
      }),
      raw_output_contents: head.raw
        ? outputs.map(([, each]) => Buffer.from(tensorBytes(each)))
        : [],
    };
    const alone = message("ModelInferResponse").deserialize(encodeInferResponse(given));
    expect(alone).toMatchObject(expected);
    const bytesOfStream = encodeStreamResponse(given, error);
    const streamed = message("ModelStreamInferResponse").deserialize(bytesOfStream);
    expect(streamed).toMatchObject({ error_message: error, infer_response: expected });
  });
  fc.assert(law);
});
