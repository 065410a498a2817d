import { beforeEach, describe, expect, test } from "vitest";
import { JSON_BODY, echoApp, x } from "../../../support/inference-app.js";
import type { InferenceApp } from "../../../support/inference-app.js";

let logged: InferenceApp["logged"];
let post: InferenceApp["post"];

beforeEach(() => {
  ({ logged, post } = echoApp());
});

describe("JSON tensors", () => {
  test.each<[string, string, object, unknown]>([
    [
      "nested",
      "echo",
      {
        shape: [2, 2],
        data: [
          [1, 2],
          [3, 4],
        ],
      },
      [1, 2, 3, 4],
    ],
    ["flat", "echo", { shape: [2, 2], data: [1, 2, 3, 4] }, [1, 2, 3, 4]],
    ["empty", "single", { shape: [0, 2], data: [] }, []],
    ["of a batch, each empty", "any", { shape: [2, 0], data: [[], []] }, []],
    ["BOOL", "bool", { datatype: "BOOL", data: [true, false] }, [true, false]],
    ["BYTES", "bytes", { datatype: "BYTES", data: ["é🌊", ""] }, ["é🌊", ""]],
    ["INT8", "int8", { datatype: "INT8", data: [-128, 127] }, [-128, 127]],
  ])("%s come back as they went", async (_name, model, over, data) => {
    const response = await post(model, { id: "i", inputs: [x(over)] });
    expect(response.json()).toMatchObject({
      model_name: model,
      model_version: "1",
      id: "i",
      outputs: [{ name: "x", data }],
    });
  });

  test("64-bit integers are exact at both ends", async () => {
    const body = (datatype: string, data: string) =>
      `{"id":"1234567890123456789","inputs":[{"name":"x","shape":[1,2],"datatype":"${datatype}","data":[${data}]}]}`;
    const signed = "-9223372036854775808,9223372036854775807";
    expect((await post("int64", body("INT64", signed))).payload).toContain(`"data":[${signed}]`);
    const unsigned = "9007199254740993,18446744073709551615";
    const answer = await post("uint64", body("UINT64", unsigned));
    expect(answer.payload).toContain(`"data":[${unsigned}]`);
    expect(answer.payload).toContain('"id":"1234567890123456789"');
  });

  test("what JSON cannot carry back is refused, and binary carries it", async () => {
    const bytes = Buffer.from(Float32Array.of(NaN, Infinity).buffer);
    const head = (binary: boolean) =>
      JSON.stringify({
        inputs: [{ ...x({ data: undefined }), parameters: { binary_data_size: 8 } }],
        outputs: [{ name: "x", parameters: { binary_data: binary } }],
      });
    const send = (binary: boolean) =>
      post("echo", Buffer.concat([Buffer.from(head(binary)), bytes]), {
        "inference-header-content-length": String(Buffer.byteLength(head(binary))),
      });
    expect((await send(false)).json()).toEqual({ error: expect.stringMatching(/NaN/) as string });
    expect((await send(true)).rawPayload.subarray(-8)).toEqual(bytes);
    expect(logged.map(({ status }) => status)).toEqual([400, 200]);
  });
});

describe("binary tensors", () => {
  const input = (size: number, over: object = {}) =>
    x({ data: undefined, parameters: { binary_data_size: size }, ...over });
  const send = (model: string, document: object, tail: Uint8Array) => {
    const head = Buffer.from(JSON.stringify(document));
    return post(model, Buffer.concat([head, tail]), {
      "inference-header-content-length": String(head.length),
      "content-type": "application/octet-stream",
    });
  };
  const floats = Buffer.from(Float32Array.of(1.5, -2).buffer);

  test("go in and come out in binary when all outputs are asked for so", async () => {
    const response = await send(
      "echo",
      { parameters: { binary_data_output: true }, inputs: [input(8)] },
      floats,
    );
    const split = Number(response.headers["inference-header-content-length"]);
    expect(response.headers["content-type"]).toBe("application/octet-stream");
    expect(JSON.parse(response.rawPayload.subarray(0, split).toString())).toEqual({
      model_name: "echo",
      model_version: "1",
      outputs: [
        { name: "x", datatype: "FP32", shape: [1, 2], parameters: { binary_data_size: 8 } },
      ],
    });
    expect(response.rawPayload.subarray(split)).toEqual(floats);
  });

  test("an output's own binary_data wins over binary_data_output", async () => {
    const outputs = [{ name: "x", parameters: { binary_data: false } }];
    const parameters = { binary_data_output: true };
    const response = await send("echo", { parameters, inputs: [input(8)], outputs }, floats);
    expect(response.json()).toMatchObject({ outputs: [{ data: [1.5, -2] }] });
  });

  const text = (...elements: readonly Uint8Array[]) =>
    Buffer.concat(
      elements.flatMap((each) => [Buffer.from(Uint32Array.of(each.length).buffer), each]),
    );

  test("BYTES keep their text, and FP16 its bits", async () => {
    const bytes = text(Buffer.from("\u{feff}é"), Buffer.from(""));
    const parameters = { binary_data_output: true };
    const strings = { parameters, inputs: [input(bytes.length, { datatype: "BYTES" })] };
    expect((await send("bytes", strings, bytes)).rawPayload.subarray(-bytes.length)).toEqual(bytes);
    const half = Buffer.from(Uint16Array.of(0x3c00, 0x7e00).buffer);
    const halves = { parameters, inputs: [input(4, { datatype: "FP16" })] };
    expect((await send("fp16", halves, half)).rawPayload.subarray(-4)).toEqual(half);
  });

  test.each<[string, string, object, Uint8Array, RegExp]>([
    [
      "more than the body has",
      "echo",
      input(9),
      floats,
      /binary_data_size is 9, the body has 8 left/,
    ],
    [
      "less than the shape needs",
      "echo",
      input(4),
      floats.subarray(4),
      /4 bytes of data, .* needs 8/,
    ],
    [
      "bytes that belong to nothing",
      "echo",
      input(8),
      Buffer.concat([floats, floats]),
      /8 bytes of the body belong/,
    ],
    [
      "data as well",
      "echo",
      { ...input(8), data: [1, 2] },
      floats,
      /both data and binary_data_size/,
    ],
    ["a negative size", "echo", input(-1), floats, /0 or more/],
    ["a BOOL of 2", "bool", input(2, { datatype: "BOOL" }), Buffer.from([1, 2]), /0 or 1/],
    [
      "cut BYTES",
      "bytes",
      input(6, { datatype: "BYTES" }),
      Buffer.from([9, 0, 0, 0, 1, 1]),
      /ends after the data/,
    ],
    [
      "a cut length",
      "bytes",
      input(2, { datatype: "BYTES" }),
      Buffer.from([0, 0]),
      /ends after the data/,
    ],
    [
      "too few BYTES",
      "bytes",
      input(5, { datatype: "BYTES" }),
      text(Buffer.from("a")),
      /1 BYTES elements, .* needs 2/,
    ],
    [
      "BYTES that are no UTF-8",
      "text",
      input(5, { datatype: "BYTES", shape: [1, 1] }),
      text(Buffer.from([0xff])),
      /UTF-8/,
    ],
  ])("%s is refused", async (_name, model, entry, tail, error) => {
    const response = await send(model, { inputs: [entry] }, tail);
    expect(response.json()).toEqual({ error: expect.stringMatching(error) as string });
    expect(response.statusCode).toBe(400);
  });

  test.each(["99999", "-1", "x", "1.5", ""])("a header length of %j is refused", async (length) => {
    const headers = { ...JSON_BODY, "inference-header-content-length": length };
    expect((await post("echo", "{}", headers)).statusCode).toBe(400);
  });
});
