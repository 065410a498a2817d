import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/envoy-process.js";
import {
  callEcho,
  ECHO,
  echoSession,
  endingOf,
  startEcho,
  type EchoServer,
} from "../support/echo-grpc.js";
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
} from "../support/raw-http2.js";

/** Our half of HTTP/2 against peers that no library would be. */
let server: EchoServer;
beforeAll(async () => {
  server = await startEcho();
});
afterAll(() => server.stop());

const HEADERS = frame(1, END_HEADERS, 1, fieldBlock(openGrpc(ECHO)));
const CODE = { protocol: 1, flow: 3, closed: 5, size: 6, compression: 9, calm: 11 };

describe("raw bytes", () => {
  test("one byte at a time is as good as all at once", async () => {
    const peer = await rawPeer(server.address);
    peer.socket.setNoDelay(true);
    const bytes = Buffer.concat([
      OPENING,
      HEADERS,
      frame(0, END_STREAM, 1, message(Buffer.from("hi"))),
    ]);
    for (const byte of bytes) {
      peer.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const data = await peer.find(({ type }) => type === 0);
    expect(data.payload.subarray(5).toString()).toBe("hi");
    const trailers = await peer.find(({ type }) => type === 1);
    expect(trailers.flags & END_STREAM).toBe(END_STREAM);
    peer.socket.destroy();
  });

  test("padding, priorities, unknown frames and settings, GOAWAY and PING are taken", async () => {
    const peer = await rawPeer(server.address);
    const padded = Buffer.concat([Buffer.of(3), fieldBlock(openGrpc(ECHO)), Buffer.alloc(3)]);
    const prioritised = Buffer.concat([
      Buffer.of(2, 0, 0, 0, 0, 7),
      fieldBlock(openGrpc(ECHO)),
      Buffer.alloc(2),
    ]);
    peer.socket.write(
      Buffer.concat([
        ...[OPENING, setting(0x99, 1), frame(0xbe, 0xff, 0, Buffer.from("x"))],
        ...[frame(1, END_HEADERS | 8, 1, padded), frame(2, 0, 1, Buffer.alloc(5))],
        frame(
          0,
          END_STREAM | 8,
          1,
          Buffer.concat([Buffer.of(2), message(Buffer.from("a")), Buffer.alloc(2)]),
        ),
        ...[frame(1, END_HEADERS | 8 | 32, 3, prioritised), frame(7, 0, 0, Buffer.alloc(8))],
        frame(0, END_STREAM, 3, message(Buffer.from("b"))),
        frame(6, 0, 0, Buffer.from("12345678")),
      ]),
    );
    expect((await peer.find(({ type }) => type === 0)).payload.at(-1)).toBe("a".charCodeAt(0));
    expect((await peer.find(({ type }) => type === 0)).payload.at(-1)).toBe("b".charCodeAt(0));
    const ping = await peer.find(({ type }) => type === 6);
    expect([ping.flags, ping.payload.toString()]).toEqual([1, "12345678"]);
    peer.socket.destroy();
  });

  test("a header block may be continued", async () => {
    const peer = await rawPeer(server.address);
    const block = fieldBlock(openGrpc(ECHO));
    peer.socket.write(
      Buffer.concat([
        ...[OPENING, frame(1, 0, 1, block.subarray(0, 5)), frame(9, 0, 1, block.subarray(5, 9))],
        ...[frame(9, END_HEADERS, 1, block.subarray(9)), frame(0, END_STREAM, 1)],
      ]),
    );
    const { payload } = await peer.find(
      ({ type, flags }) => type === 1 && (flags & END_STREAM) !== 0,
    );
    expect(payload.toString("latin1")).toContain("grpc-status\u00010");
    peer.socket.destroy();
  });

  test.each([
    {
      name: "no HTTP/2",
      bytes: Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      code: CODE.protocol,
      bare: true,
    },
    {
      name: "no SETTINGS",
      bytes: Buffer.concat([PREFACE, HEADERS]),
      code: CODE.protocol,
      bare: true,
    },
    { name: "a frame over 16 KiB", bytes: frame(0, 0, 1, Buffer.alloc(16_385)), code: CODE.size },
    { name: "DATA of stream 0", bytes: frame(0, 0, 0), code: CODE.protocol },
    { name: "DATA of an idle stream", bytes: frame(0, 0, 5), code: CODE.protocol },
    { name: "an even stream", bytes: frame(1, END_HEADERS, 2), code: CODE.protocol },
    {
      name: "padding over the frame",
      bytes: frame(1, END_HEADERS | 8, 1, Buffer.of(9, 1)),
      code: CODE.protocol,
    },
    {
      name: "HEADERS too short for a priority",
      bytes: frame(1, END_HEADERS | 32, 1, Buffer.of(1)),
      code: CODE.size,
    },
    {
      name: "an index of nothing",
      bytes: frame(1, END_HEADERS, 1, Buffer.of(0xfe)),
      code: CODE.compression,
    },
    { name: "index 0", bytes: frame(1, END_HEADERS, 1, Buffer.of(0x80)), code: CODE.compression },
    {
      name: "an endless integer",
      bytes: frame(1, END_HEADERS, 1, Buffer.alloc(9, 0xff)),
      code: CODE.compression,
    },
    {
      name: "a string over its block",
      bytes: frame(1, END_HEADERS, 1, Buffer.of(0, 9, 1)),
      code: CODE.compression,
    },
    {
      name: "a bad Huffman code",
      bytes: frame(1, END_HEADERS, 1, Buffer.of(0, 0x84, 255, 255, 255, 255)),
      code: CODE.compression,
    },
    {
      name: "Huffman padding of zeros",
      bytes: frame(1, END_HEADERS, 1, Buffer.of(0, 0x81, 0)),
      code: CODE.compression,
    },
    {
      name: "a table over its bound",
      bytes: frame(1, END_HEADERS, 1, Buffer.of(0x3f, 0xff, 0x7f)),
      code: CODE.compression,
    },
    {
      name: "another frame inside of a block",
      bytes: Buffer.concat([frame(1, 0, 1), frame(6, 0, 0, Buffer.alloc(8))]),
      code: CODE.protocol,
    },
    { name: "CONTINUATION of nothing", bytes: frame(9, END_HEADERS, 1), code: CODE.protocol },
    {
      name: "an endless block",
      bytes: Buffer.concat([frame(1, 0, 1), ...Array.from({ length: 5000 }, () => frame(9, 0, 1))]),
      code: CODE.calm,
    },
    { name: "PUSH_PROMISE", bytes: frame(5, 0, 1, Buffer.alloc(4)), code: CODE.protocol },
    {
      name: "RST_STREAM of an idle stream",
      bytes: frame(3, 0, 1, Buffer.alloc(4)),
      code: CODE.protocol,
    },
    { name: "PRIORITY of 4 bytes", bytes: frame(2, 0, 1, Buffer.alloc(4)), code: CODE.size },
    { name: "RST_STREAM of 3 bytes", bytes: frame(3, 0, 1, Buffer.alloc(3)), code: CODE.size },
    { name: "SETTINGS of 5 bytes", bytes: frame(4, 0, 0, Buffer.alloc(5)), code: CODE.size },
    { name: "SETTINGS of a stream", bytes: frame(4, 0, 1), code: CODE.protocol },
    { name: "a full SETTINGS ack", bytes: frame(4, 1, 0, Buffer.alloc(6)), code: CODE.size },
    { name: "a window of 2^31", bytes: setting(4, 2 ** 31), code: CODE.flow },
    { name: "frames of 1 byte", bytes: setting(5, 1), code: CODE.protocol },
    { name: "push twice", bytes: setting(2, 2), code: CODE.protocol },
    { name: "PING of 7 bytes", bytes: frame(6, 0, 0, Buffer.alloc(7)), code: CODE.size },
    { name: "PING of a stream", bytes: frame(6, 0, 1, Buffer.alloc(8)), code: CODE.protocol },
    { name: "WINDOW_UPDATE by 0", bytes: frame(8, 0, 0, uint32(0)), code: CODE.protocol },
    { name: "WINDOW_UPDATE of 3 bytes", bytes: frame(8, 0, 0, Buffer.alloc(3)), code: CODE.size },
    { name: "a window over 2^31-1", bytes: frame(8, 0, 0, uint32(2 ** 31 - 1)), code: CODE.flow },
  ])("$name ends the connection with its code, and no other", async ({ bytes, code, bare }) => {
    const other = await rawPeer(server.address);
    other.socket.write(Buffer.concat([OPENING, HEADERS]));
    const peer = await rawPeer(server.address);
    peer.socket.write(bare === true ? bytes : Buffer.concat([OPENING, bytes]));
    expect(await peer.goawayCode()).toBe(code);
    other.socket.write(frame(0, END_STREAM, 1, message(Buffer.from("on"))));
    expect((await other.find(({ type }) => type === 0)).payload.at(-1)).toBe("n".charCodeAt(0));
    other.socket.destroy();
  });

  const malformed = (fields: readonly (readonly [string, string])[]) =>
    frame(1, END_HEADERS, 1, fieldBlock(fields));
  test.each([
    {
      name: "no path",
      bytes: malformed([
        [":method", "POST"],
        [":scheme", "http"],
      ]),
      code: CODE.protocol,
    },
    {
      name: "a name in upper case",
      bytes: malformed([...openGrpc(ECHO), ["X-A", "1"]]),
      code: CODE.protocol,
    },
    {
      name: "an unknown pseudo-field",
      bytes: malformed([...openGrpc(ECHO), [":x", "1"]]),
      code: CODE.protocol,
    },
    {
      name: "a pseudo-field twice",
      bytes: malformed([[":path", "/"], ...openGrpc(ECHO)]),
      code: CODE.protocol,
    },
    {
      name: "a pseudo-field last",
      bytes: malformed([...openGrpc(ECHO), [":authority", "h"]]),
      code: CODE.protocol,
    },
    {
      name: "a field of connections",
      bytes: malformed([...openGrpc(ECHO), ["connection", "close"]]),
      code: CODE.protocol,
    },
    {
      name: "a line feed in a value",
      bytes: malformed([...openGrpc(ECHO), ["x-a", "a\nb"]]),
      code: CODE.protocol,
    },
    {
      name: "WINDOW_UPDATE by 0",
      bytes: Buffer.concat([HEADERS, frame(8, 0, 1, uint32(0))]),
      code: CODE.protocol,
    },
    {
      name: "a stream's window over 2^31-1",
      bytes: Buffer.concat([HEADERS, frame(8, 0, 1, uint32(2 ** 31 - 1))]),
      code: CODE.flow,
    },
    {
      name: "headers after the headers",
      bytes: Buffer.concat([HEADERS, malformed(openGrpc(ECHO))]),
      code: CODE.protocol,
    },
    {
      name: "DATA of a half-closed stream",
      bytes: Buffer.concat([HEADERS, frame(0, 0, 1, Buffer.of(0))]),
      code: undefined,
    },
  ])("$name ends the stream, and the connection goes on", async ({ bytes, code }) => {
    const peer = await rawPeer(server.address);
    const next = Buffer.concat([
      frame(1, END_HEADERS, 3, fieldBlock(openGrpc(ECHO))),
      frame(0, END_STREAM, 3, message(Buffer.from("on"))),
    ]);
    peer.socket.write(Buffer.concat([OPENING, bytes, next]));
    if (code !== undefined) {
      const reset = await peer.find(({ type }) => type === 3);
      expect([reset.id, reset.payload.readUInt32BE()]).toEqual([1, code]);
    }
    expect((await peer.find(({ type, id }) => type === 0 && id === 3)).payload.at(-1)).toBe(110);
    peer.socket.destroy();
  });

  test("law: no bytes of chance, sane or not, stop the server, and every stream is closed once", async () => {
    const flags = fc.constantFrom(0, 1, 4, 5, 8, 12, 32, 0x2d);
    const anyFrame = fc
      .tuple(fc.nat(10), flags, fc.constantFrom(0, 1, 2, 3, 5, 7), fc.uint8Array({ maxLength: 40 }))
      .map(([type, flag, id, payload]) => frame(type, flag, id, payload));
    const sane = fc
      .tuple(fc.constantFrom(1, 3, 5, 7), fc.uint8Array({ maxLength: 20 }))
      .map(([id, payload]) =>
        Buffer.concat([
          frame(1, END_HEADERS, id, fieldBlock(openGrpc(ECHO))),
          frame(0, 0, id, message(payload)),
        ]),
      );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(sane, anyFrame), { maxLength: 12 }), async (frames) => {
        const peer = await rawPeer(server.address);
        peer.socket.end(Buffer.concat([OPENING, ...frames]));
        await peer.ended;
      }),
      { numRuns: 500 },
    );
    await eventually("streams to close", () => {
      return server.closes() === server.opened.length ? true : undefined;
    });
    expect(server.bugs).toEqual([]);
    const client = echoSession(server.address);
    const stream = callEcho(client);
    stream.end(message(Buffer.from("alive")));
    expect((await endingOf(stream)).body.toString()).toContain("alive");
    client.destroy();
  });
});
