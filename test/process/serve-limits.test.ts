import { status as grpcStatus } from "@grpc/grpc-js";
import { once } from "node:events";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import { buffer, text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CODE } from "../../src/servers/grpc/http2/error.js";
import { FRAME, SETTING } from "../../src/servers/grpc/http2/frames.js";
import { inferenceGrpcClient, message } from "../support/inference-grpc-client.js";
import { writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { identityModel } from "../support/onnx-model.js";
import {
  END_HEADERS,
  END_STREAM,
  fieldBlock,
  frame,
  openGrpc,
  OPENING,
  PREFACE,
  rawPeer,
  setting,
  uint32,
  unaryCall,
} from "../support/raw-http2.js";
import type { Frame, RawPeer } from "../support/raw-http2.js";
import { postJson, startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

const MIB = 1024 * 1024;
const MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer";
const saying = (text: string) => (each: Frame) => each.type === 1 && each.payload.includes(text);

let repository: Repository;
let server: ServeProcess;

beforeAll(async () => {
  repository = await writeRepository({
    "echo/1/model.onnx": identityModel(),
    "wide/1/model.onnx": identityModel("FP32", "width"),
  });
  const flags = ["--request-timeout-ms", "3000", "--max-held-bytes", String(24 * MIB)];
  server = await startServe({ repository: repository.root, flags });
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
  await repository.remove();
});

const url = () => `${server.url}/v2/models/echo/infer`;

/** What the server says to bytes that never become a request, until it closes. */
async function answerTo(bytes: string): Promise<string> {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  socket.write(bytes);
  return text(socket);
}

test.each([
  ["headers", "POST /v2/models/echo/infer HTTP/1.1\r\nhost: a\r\nx-a"],
  ["a body", "POST /v2/models/echo/infer HTTP/1.1\r\nhost: a\r\ncontent-length: 999\r\n\r\n{"],
])("%s without end: the answer is 408, and the connection ends", async (_name, bytes) => {
  const answer = await answerTo(bytes);
  expect(answer).toMatch(/^HTTP\/1.1 408 .*within 3000 ms \(--request-timeout-ms\)"\}$/s);
});

test("60 MB of objects as data are refused by a limit that is named, and harm nobody", async () => {
  const data = `[${"{},".repeat(20_000_000)}{}]`;
  const body = `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":${data}}]}`;
  const { status, body: answer } = await postJson(url(), body);
  expect([status, answer.error]).toEqual([
    413,
    "the body is over the limit of 16777216 bytes of JSON (--max-json-bytes): send tensors as binary data",
  ]);
});

test("16 MB of objects as data stop at the first of them", async () => {
  const data = `[${"{},".repeat(5_000_000)}{}]`;
  const body = `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":${data}}]}`;
  const { status, body: answer } = await postJson(url(), body);
  expect([status, answer.error]).toEqual([400, expect.stringMatching(/element 0 is an object/)]);
});

test("bodies that never end cannot take more than the budget of the process", async () => {
  const sent = "{".repeat(10 * MIB);
  const head = `POST /v2/models/echo/infer HTTP/1.1\r\nhost: a\r\ncontent-length: ${15 * MIB}\r\n\r\n`;
  const answers = await Promise.all([1, 2, 3, 4].map(() => answerTo(head + sent).catch(String)));
  expect(
    answers.filter((answer) => / 503 .*--max-held-bytes/s.test(answer)).length,
  ).toBeGreaterThan(0);
  const body = { inputs: [{ name: "x", shape: [1, 2], datatype: "FP32", data: [1, 2] }] };
  expect((await postJson(url(), body)).status).toBe(200);
});

describe("gRPC messages that never end", () => {
  /** A call whose message says 15 MiB, and begins with as many bytes as a new stream may have. */
  const begin = (peer: RawPeer, id: number) => {
    const begun = Buffer.alloc(MIB);
    begun.writeUInt32BE(15 * MIB, 1);
    peer.socket.write(frame(1, END_HEADERS, id, fieldBlock(openGrpc(MODEL_INFER))));
    for (let at = 0; at < MIB; at += 16_384) {
      peer.socket.write(frame(0, 0, id, begun.subarray(at, at + 16_384)));
    }
  };
  test("are given up", async () => {
    const peer = await rawPeer(server.grpcAddress);
    peer.socket.write(OPENING);
    begin(peer, 1);
    const { id } = await peer.find(saying("a message has not come whole within 3000 ms"));
    expect(id).toBe(1);
    peer.socket.destroy();
  });

  test("cannot take more than the budget of the process", async () => {
    const peer = await rawPeer(server.grpcAddress);
    peer.socket.write(OPENING);
    for (let id = 1; id < 60; id += 2) begin(peer, id);
    await peer.find(saying("no room for more messages"));
    const client = inferenceGrpcClient(server.grpcAddress);
    const right = {
      model_name: "echo",
      inputs: [{ name: "x", datatype: "FP32", shape: [1, 2] }],
      raw_input_contents: [Buffer.alloc(8)],
    };
    while ((await client.call("ModelInfer", right)).code !== grpcStatus.OK);
    client.close();
    peer.socket.destroy();
  });
});

describe("answers that nobody takes", () => {
  test("over gRPC are given up, and nothing else of their connection", async () => {
    const floats = MIB / 8;
    const wide = {
      model_name: "wide",
      inputs: [{ name: "x", datatype: "FP32", shape: [1, floats] }],
      raw_input_contents: [Buffer.alloc(4 * floats)],
    };
    const bytes = message("ModelInferRequest").serialize(wide);
    const peer = await rawPeer(server.grpcAddress);
    peer.socket.write(Buffer.concat([PREFACE, setting(SETTING.initialWindowSize, 0)]));
    peer.socket.write(unaryCall(1, MODEL_INFER, bytes));
    await peer.find(
      ({ type, payload }) => type === FRAME.rstStream && payload[3] === CODE.enhanceYourCalm,
    );
    peer.socket.write(unaryCall(3, MODEL_INFER, bytes));
    for (const each of [0, 3]) peer.socket.write(frame(8, 0, each, uint32(MIB)));
    await peer.find(({ id, flags }) => id === 3 && (flags & END_STREAM) !== 0);
    const answered = peer.frames.filter(({ type, id }) => type === FRAME.data && id === 3);
    const length = answered.reduce((sum, { payload }) => sum + payload.length, 0);
    expect(length).toBeGreaterThan(4 * floats);
    peer.socket.destroy();
  });

  test("over HTTP are cut off, and make room", async () => {
    // Two such bodies fit into the budget, and more than the kernel keeps for a peer.
    const floats = 2_400_000;
    const json = JSON.stringify({
      inputs: [
        {
          ...{ name: "x", datatype: "FP32", shape: [1, floats] },
          parameters: { binary_data_size: 4 * floats },
        },
      ],
      outputs: [{ name: "y", parameters: { binary_data: true } }],
    });
    const body = Buffer.concat([Buffer.from(json), Buffer.alloc(4 * floats)]);
    const headers = { "inference-header-content-length": String(json.length) };
    const address = `${server.url}/v2/models/wide/infer`;
    const deaf = request(address, { method: "POST", headers }).end(body);
    const [begun] = (await once(deaf, "response")) as [IncomingMessage];
    expect(begun.statusCode).toBe(200);
    // One that is refused before it is sent may find its connection closed.
    const isAnswered = async () => {
      const response = await fetch(address, { method: "POST", headers, body }).catch(String);
      return typeof response !== "string" && response.ok && (await response.arrayBuffer());
    };
    while (!(await isAnswered()));
    const rest = await buffer(begun).catch(() => undefined);
    expect(rest).toBeUndefined();
  });
});
