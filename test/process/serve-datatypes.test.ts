import { afterAll, beforeAll, expect, test } from "vitest";
import { DATATYPES } from "../../src/schema/model-manifest.js";
import type { Datatype } from "../../src/schema/model-manifest.js";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { identityModel } from "../support/onnx-model.js";
import { postJson, startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

let repository: Repository;
let server: ServeProcess;

beforeAll(async () => {
  const models = DATATYPES.flatMap((datatype): [string, string | Uint8Array][] => [
    [`${datatype.toLowerCase()}/1/model.onnx`, identityModel(datatype)],
    [`${datatype.toLowerCase()}/model.yaml`, manifest("maxBatchSize: 8", "maxQueueDelayMs: 20")],
  ]);
  repository = await writeRepository(Object.fromEntries(models));
  server = await startServe({ repository: repository.root });
});
afterAll(async () => {
  await server.stop();
  await repository.remove();
});

const url = (datatype: Datatype) => `${server.url}/v2/models/${datatype.toLowerCase()}/infer`;

/** The least and the greatest value, twice, as JSON text. */
const EXTREMES: Readonly<Record<Exclude<Datatype, "FP16">, string>> = {
  BOOL: "true,false,false,true",
  UINT8: "0,255,1,2",
  UINT16: "0,65535,1,2",
  UINT32: "0,4294967295,1,2",
  UINT64: "0,18446744073709551615,9007199254740993,2",
  INT8: "-128,127,-1,0",
  INT16: "-32768,32767,-1,0",
  INT32: "-2147483648,2147483647,-1,0",
  INT64: "-9223372036854775808,9223372036854775807,-9007199254740993,0",
  FP32: "3.4028234663852886e+38,-1.401298464324817e-45,0.5,-2",
  FP64: "1.7976931348623157e+308,5e-324,0.1,-2",
  BYTES: '"","é🌊","\\u0001\\ufeff","a\\nb"',
};

test.each(Object.entries(EXTREMES))(
  "%s passes the runtime unchanged as JSON, alone and in a batch",
  async (name, data) => {
    const datatype = name as Datatype;
    const body = (shape: string, values: string) =>
      `{"inputs":[{"name":"x","shape":${shape},"datatype":"${datatype}","data":[${values}]}]}`;
    const send = async (shape: string, values: string) => {
      const response = await fetch(url(datatype), { method: "POST", body: body(shape, values) });
      return /"shape":(\[.*?\]),"data":\[(.*)\]\}\]\}$/s.exec(await response.text())?.slice(1);
    };
    // JSON.stringify leaves the byte order mark as it is.
    const expected = data.replace("\\ufeff", "\ufeff");
    const together = await Promise.all([1, 2, 3].map(() => send("[2,2]", data)));
    expect(together).toEqual([1, 2, 3].map(() => ["[2,2]", expected]));
  },
);

test.each(DATATYPES.filter((datatype) => datatype !== "BYTES"))(
  "%s passes the runtime unchanged as binary",
  async (datatype) => {
    const sizes = { BOOL: 1, FP16: 2, FP32: 4, FP64: 8 } as Readonly<Record<string, number>>;
    const width = sizes[datatype] ?? Number(/\d+/.exec(datatype)?.[0]) / 8;
    const tensor = Buffer.alloc(2 * width);
    // Byte patterns that are values of every datatype and no NaN.
    for (let at = 0; at < tensor.length; at += 1) tensor[at] = datatype === "BOOL" ? at : 0x21 + at;
    const head = JSON.stringify({
      parameters: { binary_data_output: true },
      inputs: [
        { name: "x", shape: [1, 2], datatype, parameters: { binary_data_size: tensor.length } },
      ],
    });
    const response = await fetch(url(datatype), {
      method: "POST",
      headers: { "inference-header-content-length": String(head.length) },
      body: Buffer.concat([Buffer.from(head), tensor]),
    });
    const answer = Buffer.from(await response.arrayBuffer());
    const split = Number(response.headers.get("inference-header-content-length"));
    expect(answer.subarray(split)).toEqual(tensor);
  },
);

test("FP16 in JSON is refused with the remedy", async () => {
  const { status, body } = await postJson(url("FP16"), {
    inputs: [{ name: "x", shape: [1, 2], datatype: "FP16", data: [1, 2] }],
  });
  expect([status, body.error]).toEqual([400, expect.stringMatching(/binary/)]);
});
