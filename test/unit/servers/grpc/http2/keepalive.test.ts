import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keepAlive } from "../../../../../src/servers/grpc/http2/keepalive.js";

let server: Server;
let pings = 0;
let answerMs = 60;
beforeEach(async () => {
  [pings, answerMs] = [0, 60];
  server = createServer((socket) => {
    socket.on("error", () => undefined).resume();
    const ping = () => {
      pings += 1;
      socket.write("?");
    };
    keepAlive(socket, ping, { silentMs: 60, answerMs });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
});
afterEach(() => {
  server.close();
});

const peer = () => connect((server.address() as AddressInfo).port, "127.0.0.1");

test("a peer that answers no ping is cut", async () => {
  const silent = peer().resume();
  await once(silent, "close");
  expect(pings).toBe(1);
});

test("one that answers stays, and is asked again when it is silent again", async () => {
  answerMs = 1500;
  const alive = peer();
  alive.on("data", () => alive.write("!"));
  while (pings < 2) await once(alive, "data");
  expect(alive.closed).toBe(false);
  alive.destroy();
});
