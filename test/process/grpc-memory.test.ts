import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SETTING } from "../../src/servers/grpc/http2/frames.js";
import { FIRST_WINDOW } from "../../src/servers/grpc/http2/sender.js";
import { ECHO, startEcho, type EchoServer } from "../support/echo-grpc.js";
import {
  END_HEADERS,
  END_STREAM,
  fieldBlock,
  frame,
  message,
  openGrpc,
  OPENING,
  PREFACE,
  rawPeer,
  setting,
  uint32,
  unaryCall,
} from "../support/raw-http2.js";
import type { Frame, RawPeer } from "../support/raw-http2.js";

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

const MAX_WINDOW = 2 ** 31 - 1;
const LARGE = Buffer.alloc(1_000_000, "weir");
const ANSWER = message(LARGE);
const ask = (peer: RawPeer, id: number) => peer.socket.write(unaryCall(id, ECHO, LARGE));

const isEnd = ({ id, flags }: Frame) => id > 0 && (flags & END_STREAM) !== 0;
const answerOf = (peer: RawPeer, id: number) =>
  Buffer.concat(
    peer.frames.filter((one) => one.type === 0 && one.id === id).map(({ payload }) => payload),
  );

test("answers that a peer does not take are bounded together, and ended ones make room", async () => {
  const peer = await rawPeer(server.address);
  peer.socket.write(Buffer.concat([PREFACE, setting(SETTING.initialWindowSize, 0)]));
  const streams = 80;
  for (let one = 0; one < streams; one += 1) ask(peer, 2 * one + 1);
  const refused = await peer.find(
    ({ type, payload }) => type === 1 && payload.includes("answers that their callers do not take"),
  );
  expect(refused.id).toBeGreaterThan(1);
  peer.socket.write(Buffer.concat([frame(3, 0, 1, uint32(8)), frame(3, 0, 3, uint32(8))]));
  const id = 2 * streams + 1;
  ask(peer, id);
  for (const each of [id, 0]) peer.socket.write(frame(8, 0, each, uint32(ANSWER.length)));
  await peer.find((one) => one.id === id && isEnd(one));
  expect(answerOf(peer, id).equals(ANSWER)).toBe(true);
  peer.socket.destroy();
});

test("what a socket does not take waits, and comes whole when it is read", async () => {
  const peer = await rawPeer(server.address);
  peer.socket.write(Buffer.concat([PREFACE, setting(SETTING.initialWindowSize, MAX_WINDOW)]));
  peer.socket.write(frame(8, 0, 0, uint32(MAX_WINDOW - FIRST_WINDOW)));
  await peer.find(({ type, flags }) => type === 4 && flags === 1);
  peer.socket.pause();
  const ids = Array.from({ length: 50 }, (_, at) => 2 * at + 1);
  for (const id of ids) ask(peer, id);
  await setTimeout(300);
  peer.socket.resume();
  for (let ended = 0; ended < ids.length; ended += 1) await peer.find(isEnd);
  expect(ids.filter((id) => !answerOf(peer, id).equals(ANSWER))).toEqual([]);
  peer.socket.destroy();
});
