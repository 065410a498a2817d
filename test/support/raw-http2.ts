import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** HTTP/2 by hand (RFC 9113), for what no client library would send. */
export type Frame = {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
};

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
export const END_STREAM = 1;
export const END_HEADERS = 4;
export const NO_SETTINGS = frame(4, 0, 0);
/** How a client begins that asks for nothing. */
export const OPENING = Buffer.concat([PREFACE, NO_SETTINGS]);

export function frame(
  type: number,
  flags: number,
  id: number,
  payload: Uint8Array = new Uint8Array(),
) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

/** SETTINGS with one of them. */
export const setting = (id: number, value: number) => {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id);
  bytes.writeUInt32BE(value, 2);
  return frame(4, 0, 0, bytes);
};
export const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** Literals without indexing and without Huffman; names and values under 127 bytes. */
export const fieldBlock = (fields: readonly (readonly [string, string])[]) =>
  Buffer.concat(
    fields.map(([name, value]) =>
      Buffer.concat([
        ...[Buffer.of(0, name.length), Buffer.from(name)],
        ...[Buffer.of(value.length), Buffer.from(value)],
      ]),
    ),
  );

export const openGrpc = (path: string): readonly (readonly [string, string])[] => [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", path],
  ["content-type", "application/grpc"],
];

export const message = (bytes: Uint8Array, flag = 0) => {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
};

/** A call of one message, whole, as frames. */
export const unaryCall = (id: number, path: string, bytes: Uint8Array) => {
  const framed = message(bytes);
  const frames = [frame(1, END_HEADERS, id, fieldBlock(openGrpc(path)))];
  for (let at = 0; at < framed.length; at += 16_384) {
    const part = framed.subarray(at, at + 16_384);
    frames.push(frame(0, at + part.length === framed.length ? END_STREAM : 0, id, part));
  }
  return Buffer.concat(frames);
};

export type RawPeer = {
  readonly socket: Socket;
  readonly frames: readonly Frame[];
  /** The first frame, since the last one found, that it is; fails when the socket ends before. */
  find(isIt: (frame: Frame) => boolean): Promise<Frame>;
  /** The code of the GOAWAY after which the server closed. */
  goawayCode(): Promise<number>;
  readonly ended: Promise<unknown>;
};

export async function rawPeer(address: string): Promise<RawPeer> {
  const [, host = "", port] = /^(.*):(\d+)$/.exec(address) ?? [];
  const socket = connect(Number(port), host);
  const frames: Frame[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let wake: () => void = () => undefined;
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      const [type = 0, flags = 0] = rest.subarray(3);
      frames.push({ type, flags, id: rest.readUInt32BE(5), payload: rest.subarray(9, end) });
      rest = rest.subarray(end);
    }
    wake();
  });
  const ended = once(socket, "close").finally(() => {
    wake();
  });
  await once(socket, "connect");
  let seen = 0;
  const find = async (isIt: (frame: Frame) => boolean): Promise<Frame> => {
    for (;;) {
      for (; seen < frames.length; seen += 1) {
        const one = frames[seen];
        if (one !== undefined && isIt(one)) {
          seen += 1;
          return one;
        }
      }
      if (socket.destroyed) throw new Error("the socket ended before such a frame");
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return {
    ...{ socket, frames, ended, find },
    goawayCode: async () => {
      const { payload } = await find(({ type }) => type === 7);
      await ended;
      return payload.readUInt32BE(4);
    },
  };
}
