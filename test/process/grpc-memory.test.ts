import { afterAll, beforeAll, expect, test } from "vitest";
import { ECHO, startEcho, type EchoServer } from "../support/echo-grpc.js";
import {
  END_HEADERS,
  END_STREAM,
  fieldBlock,
  frame,
  message,
  openGrpc,
  OPENING,
  rawPeer,
  uint32,
} from "../support/raw-http2.js";

let server: EchoServer;
beforeAll(async () => {
  server = await startEcho();
});
afterAll(() => server.stop());

test("messages begun on many streams are bounded together, and ended ones make room", async () => {
  const peer = await rawPeer(server.address);
  const begun = Buffer.concat([Buffer.of(0), uint32(4 * 1024 * 1024), Buffer.alloc(16_379)]);
  const block = fieldBlock(openGrpc(ECHO));
  const begin = (id: number) =>
    Buffer.concat([
      frame(1, END_HEADERS, id, block),
      ...Array.from({ length: 60 }, () => frame(0, 0, id, begun.subarray(0, 16_384))),
    ]);
  peer.socket.write(OPENING);
  const streams = 80;
  for (let one = 0; one < streams; one += 1) peer.socket.write(begin(2 * one + 1));
  const refused = await peer.find(({ type, flags }) => type === 1 && (flags & END_STREAM) !== 0);
  expect(refused.id).toBeGreaterThan(1);
  peer.socket.write(Buffer.concat([frame(3, 0, 1, uint32(8)), frame(3, 0, 3, uint32(8))]));
  const id = 2 * streams + 1;
  peer.socket.write(frame(1, END_HEADERS, id, block));
  peer.socket.write(frame(0, END_STREAM, id, message(Buffer.from("room"))));
  const answer = await peer.find((one) => one.type === 0 && one.id === id);
  expect(answer.payload.subarray(5).toString()).toBe("room");
  peer.socket.destroy();
});
