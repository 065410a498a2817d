import { deflateSync, gunzipSync, gzipSync, inflateSync } from "node:zlib";
import { beforeEach, describe, expect, test } from "vitest";
import { JSON_BODY, echoApp, x } from "../../../support/inference-app.js";
import type { InferenceApp } from "../../../support/inference-app.js";

let budget: InferenceApp["budget"];
let post: InferenceApp["post"];

beforeEach(() => {
  ({ budget, post } = echoApp());
});

describe("compression", () => {
  const body = JSON.stringify({ inputs: [x({ shape: [1, 500], data: Array(500).fill(0.5) })] });

  test.each([
    ["gzip", gzipSync],
    ["deflate", deflateSync],
  ] as const)("a body in %s is read", async (encoding, compress) => {
    const headers = { ...JSON_BODY, "content-encoding": encoding };
    const answer = await post("any", compress(body), headers);
    expect(answer.json()).toMatchObject({ outputs: [{ shape: [1, 500] }] });
  });

  test.each([
    ["gzip", "gzip"],
    ["deflate", "deflate"],
    ["gzip;q=0, deflate;q=0.5", "deflate"],
    ["br, *;q=0.1", undefined],
    ["gzip;q=0", undefined],
  ])("to accept-encoding %s the answer is in %s", async (accepted, encoding) => {
    const plain = await post("any", body);
    const answer = await post("any", body, { ...JSON_BODY, "accept-encoding": accepted });
    expect(answer.headers["content-encoding"]).toBe(encoding);
    const decode = { gzip: gunzipSync, deflate: inflateSync, none: (body: Buffer) => body }[
      (encoding ?? "none") as "none"
    ];
    expect(decode(answer.rawPayload)).toEqual(plain.rawPayload);
    expect(answer.headers["content-length"]).toBe(String(answer.rawPayload.length));
  });

  test("the header length is that of the uncompressed JSON", async () => {
    const wanted = { ...JSON.parse(body), parameters: { binary_data_output: true } } as object;
    const answer = await post("any", wanted, { ...JSON_BODY, "accept-encoding": "gzip" });
    const whole = gunzipSync(answer.rawPayload);
    const split = Number(answer.headers["inference-header-content-length"]);
    expect(JSON.parse(whole.subarray(0, split).toString())).toMatchObject({ model_name: "any" });
    expect(whole.length - split).toBe(2000);
  });

  test("a small answer is left as it is", async () => {
    const headers = { ...JSON_BODY, "accept-encoding": "gzip" };
    const answer = await post("echo", { inputs: [x()] }, headers);
    expect(answer.headers["content-encoding"]).toBeUndefined();
  });
});

test("over the budget of the process a body is refused 503, and what was held is given back", async () => {
  const lease = budget.open();
  lease.take(9_999_990);
  const refused = await post("echo", { inputs: [x()] });
  expect([refused.statusCode, refused.headers["retry-after"]]).toEqual([503, "1"]);
  expect(refused.json()).toEqual({
    error: expect.stringMatching(/hold 9999990 bytes, .*\(--max-held-bytes\)/) as string,
  });
  lease.release();
  expect((await post("echo", { inputs: [x()] })).statusCode).toBe(200);
  expect(budget.heldBytes).toBe(0);
});

test("what is wrong with an input is said before its data is looked at", async () => {
  const garbage = (over: string) =>
    `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],${over}"data":[{},[],"]",nonsense]}]}`;
  const refused = async (over: string) => {
    const { error } = (await post("echo", garbage(over))).json<{ error: string }>();
    return error;
  };
  expect(await refused('"shape":[1,3],')).toMatch(/has shape \[1,3\]/);
  expect(await refused('"datatype":"INT8",')).toMatch(/has datatype INT8/);
  expect(await refused('"name":"q",')).toMatch(/unknown input "q"/);
  expect(await refused("")).toMatch(/element 0 is an object, which is no value of FP32/);
});

test("JSON besides data has a limit of its own", async () => {
  const { app: roomy } = echoApp({ maxBodyBytes: 4_000_000, maxJsonBytes: 4_000_000 });
  const padded = { inputs: [x()], parameters: { text: "x".repeat(1_100_000) } };
  const sent = { method: "POST", headers: JSON_BODY, payload: JSON.stringify(padded) } as const;
  const response = await roomy.inject({ ...sent, url: "/v2/models/echo/infer" });
  expect([response.statusCode, response.json()]).toEqual([
    413,
    { error: expect.stringMatching(/besides the data of its inputs/) as string },
  ]);
});
