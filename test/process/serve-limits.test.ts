import { status as grpcStatus } from "@grpc/grpc-js";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inferenceGrpcClient } from "../support/inference-grpc-client.js";
import { writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { identityModel } from "../support/onnx-model.js";
import {
  END_HEADERS,
  fieldBlock,
  frame,
  openGrpc,
  OPENING,
  rawPeer,
} from "../support/raw-http2.js";
import type { Frame, RawPeer } from "../support/raw-http2.js";
import { postJson, startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

const MIB = 1024 * 1024;

let repository: Repository;
let server: ServeProcess;

beforeAll(async () => {
  repository = await writeRepository({ "echo/1/model.onnx": identityModel() });
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
  const PATH = "/inference.GRPCInferenceService/ModelInfer";
  /** A call whose message says 15 MiB, and begins with as many bytes as a new stream may have. */
  const begin = (peer: RawPeer, id: number) => {
    const begun = Buffer.alloc(MIB);
    begun.writeUInt32BE(15 * MIB, 1);
    peer.socket.write(frame(1, END_HEADERS, id, fieldBlock(openGrpc(PATH))));
    for (let at = 0; at < MIB; at += 16_384) {
      peer.socket.write(frame(0, 0, id, begun.subarray(at, at + 16_384)));
    }
  };
  const saying = (text: string) => (each: Frame) => each.type === 1 && each.payload.includes(text);

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
