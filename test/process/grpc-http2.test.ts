import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:http2";
import type { Writable } from "node:stream";
import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  callEcho,
  echoSession,
  endingOf,
  startEcho,
  THROW,
  type EchoServer,
} from "../support/echo-grpc.js";
import { message } from "../support/raw-http2.js";

/** Our half of HTTP/2 against nghttp2's; what streams say is tested on every transport alike. */
let server: EchoServer;
beforeAll(async () => {
  server = await startEcho();
});
afterAll(() => server.stop());

/** All of it and the end, cut into pieces of these sizes in turn. */
function sendInPieces(stream: Writable, bytes: Buffer, sizes: readonly number[]): void {
  for (let at = 0, n = 0; at < bytes.length; n += 1) {
    const end = at + sizes[n % sizes.length]!;
    stream.write(bytes.subarray(at, end));
    at = end;
  }
  stream.end();
}

describe("against nghttp2", () => {
  test("law: metadata that it compresses, with Huffman and its table, arrives as it was", async () => {
    const client = echoSession(server.address);
    const value = fc.oneof(
      fc
        .string({ unit: "binary-ascii", maxLength: 200 })
        .map((text) => text.replace(/[^\x20-\x7e]/g, "~").trim()),
      fc.constantFrom("00-e134eb5cd37adb6f9731299 82accb8d-56fba446b8697bd8-00", "trailers", "a"),
    );
    const names = fc.stringMatching(/^x-[a-z0-9-]{1,20}$/);
    await fc.assert(
      fc.asyncProperty(fc.dictionary(names, value, { maxKeys: 12 }), async (metadata) => {
        const stream = callEcho(client, metadata);
        stream.end();
        await endingOf(stream);
        const got = server.opened.at(-1)!.metadata;
        for (const [key, text] of Object.entries(metadata)) expect(got.values(key)).toEqual([text]);
      }),
      { numRuns: 500 },
    );
    client.destroy();
  });

  test("law: messages of any size, cut and joined anywhere, come back whole and in order", async () => {
    const client = echoSession(server.address);
    const pieces = fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 8 });
    const sizes = fc.array(fc.oneof(fc.nat(20), fc.nat(100_000)), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(sizes, pieces, async (messageSizes, cuts) => {
        const bytes = Buffer.concat(messageSizes.map((size) => message(randomBytes(size))));
        const stream = callEcho(client);
        const ending = endingOf(stream);
        sendInPieces(stream, bytes, cuts);
        const { grpcStatus, body } = await ending;
        expect(grpcStatus).toBe("0");
        expect(body.equals(bytes)).toBe(true);
      }),
      { numRuns: 100 },
    );
    client.destroy();
  });

  test.each([
    ["gzip", gzipSync],
    ["deflate", deflateSync],
  ] as const)(
    "law: messages in %s among plain ones come whole and in order",
    async (encoding, compress) => {
      const client = echoSession(server.address);
      const pieces = fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 8 });
      const size = fc.oneof(fc.nat(20), fc.nat(200_000));
      const messages = fc.array(fc.record({ size, isPlain: fc.boolean() }), { maxLength: 6 });
      await fc.assert(
        fc.asyncProperty(messages, pieces, async (wanted, cuts) => {
          const plain = wanted.map(({ size }, n) => Buffer.alloc(size, `${n}.`));
          const bytes = Buffer.concat(
            plain.map((each, n) =>
              wanted[n]!.isPlain ? message(each) : message(compress(each), 1),
            ),
          );
          const stream = callEcho(client, { "grpc-encoding": encoding });
          const ending = endingOf(stream);
          sendInPieces(stream, bytes, cuts);
          const { grpcStatus, body } = await ending;
          expect(grpcStatus).toBe("0");
          expect(body.equals(Buffer.concat(plain.map((each) => message(each))))).toBe(true);
        }),
        { numRuns: 100 },
      );
      client.destroy();
    },
  );

  test.each([1, 100, 65_535])(
    "a peer whose windows begin with %i bytes gets every byte",
    async (initialWindowSize) => {
      const client = echoSession(server.address, { initialWindowSize });
      await once(client, "localSettings");
      const bytes = message(randomBytes(Math.min(300_000, initialWindowSize * 50)));
      const endings = [0, 1, 2].map(() => {
        const stream = callEcho(client);
        stream.end(bytes);
        return endingOf(stream);
      });
      for (const { grpcStatus, body } of await Promise.all(endings)) {
        expect(grpcStatus).toBe("0");
        expect(body.equals(bytes)).toBe(true);
      }
      client.destroy();
    },
  );

  test("a peer that takes no answers is not read without end", async () => {
    const client = echoSession(server.address);
    const stream = callEcho(client);
    stream.pause();
    const chunk = message(Buffer.alloc(60_000));
    let sent = 0;
    while (sent < 2000 && stream.write(chunk)) sent += 1;
    await new Promise((resolve) => setImmediate(resolve));
    expect(stream.writableLength + (client.state.outboundQueueSize ?? 0)).toBeGreaterThan(0);
    const ending = endingOf(stream);
    stream.end();
    stream.resume();
    expect((await ending).grpcStatus).toBe("0");
    client.destroy();
  });

  test.each([
    { name: "an unknown method", headers: { ":path": "/test.Echo/No" }, expected: [200, "12"] },
    { name: "a call in snappy", headers: { "grpc-encoding": "snappy" }, expected: [200, "12"] },
    { name: "no gRPC", headers: { "content-type": "text/plain" }, expected: [415, "none"] },
    { name: "no POST", headers: { ":method": "PUT" }, expected: [405, "none"] },
    { name: "gzip, undeclared", body: message(gzipSync("x"), 1), expected: [200, "13"] },
    { name: "a flag of 2", body: message(Buffer.from("x"), 2), expected: [200, "13"] },
    {
      name: "what is no gzip",
      headers: { "grpc-encoding": "gzip" },
      body: message(Buffer.from("x"), 1),
      expected: [200, "3"],
    },
    {
      name: "5 MiB of zeros in gzip",
      headers: { "grpc-encoding": "gzip" },
      body: message(gzipSync(Buffer.alloc(5 * 2 ** 20)), 1),
      expected: [200, "8"],
    },
    { name: "half a message", body: Buffer.of(0, 0, 0, 0, 9, 1), expected: [200, "13"] },
    { name: "half a prefix", body: Buffer.of(0, 0), expected: [200, "13"] },
    { name: "5 MiB", body: message(Buffer.alloc(5 * 2 ** 20)), expected: [200, "8"] },
    {
      name: "a bug of ours",
      headers: { ":path": THROW },
      body: message(Buffer.of()),
      expected: [200, "13"],
    },
  ])(
    "$name ends with $expected, and the connection goes on",
    async ({ headers, body, expected }) => {
      const client = echoSession(server.address);
      const stream = callEcho(client, headers);
      const ending = endingOf(stream);
      stream.end(body);
      const { httpStatus, grpcStatus } = await ending;
      expect([httpStatus, grpcStatus]).toEqual(expected);
      const next = callEcho(client);
      next.end(message(Buffer.from("next")));
      expect((await endingOf(next)).body.toString()).toContain("next");
      client.destroy();
    },
  );

  test("a deadline ends the stream with DEADLINE_EXCEEDED", async () => {
    const client = echoSession(server.address);
    const stream = callEcho(client, { "grpc-timeout": "50m" });
    expect((await endingOf(stream)).grpcStatus).toBe("4");
    client.destroy();
  });

  test("headers over 64 KiB are refused, and the table stays in step", async () => {
    const client = connect(`http://${server.address}`, { maxSendHeaderBlockLength: 2 ** 20 });
    client.on("error", () => undefined);
    await once(client, "remoteSettings");
    const large = Object.fromEntries(
      Array.from({ length: 30 }, (_, n) => [`x-large-${n}`, "v".repeat(3000)]),
    );
    const stream = callEcho(client, large);
    stream.end();
    expect((await endingOf(stream)).httpStatus).toBe(431);
    const next = callEcho(client, { "x-after": "it" });
    next.end();
    expect((await endingOf(next)).grpcStatus).toBe("0");
    expect(server.opened.at(-1)!.metadata.values("x-after")).toEqual(["it"]);
    client.destroy();
  });
});
