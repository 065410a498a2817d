import { once } from "node:events";
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { LIMITS } from "../../src/servers/grpc/http2/limits.js";
import { listenHttp2 } from "../../src/servers/grpc/http2/listen.js";
import type { ServerStream, Transport } from "../../src/servers/grpc/stream.js";

export const ECHO = "/test.Echo/Echo";
export const THROW = "/test.Echo/Throw";

export type EchoServer = Transport & {
  /** Every stream that was opened, and how many have closed. */
  readonly opened: readonly ServerStream[];
  readonly closes: () => number;
  readonly bugs: readonly unknown[];
  readonly stop: () => Promise<void>;
};

/** Our HTTP/2 transport with a method that sends back what it gets, and one with a bug. */
export async function startEcho(): Promise<EchoServer> {
  const opened: ServerStream[] = [];
  const bugs: unknown[] = [];
  let closes = 0;
  const accept =
    (onMessage: (stream: ServerStream, bytes: Buffer) => void) => (stream: ServerStream) => {
      opened.push(stream);
      return {
        message: (bytes: Buffer) => {
          onMessage(stream, bytes);
        },
        halfClosed: () => {
          stream.end();
        },
        closed: () => {
          closes += 1;
        },
      };
    };
  const echo = accept((stream, bytes) => {
    stream.send(bytes);
  });
  const fail = accept(() => {
    throw new Error("seeded");
  });
  const methods = new Map([
    [ECHO, echo],
    [THROW, fail],
  ]);
  const onBug = (error: unknown) => bugs.push(error);
  const server = await listenHttp2("127.0.0.1:0", { methods, onBug, limits: LIMITS });
  const stop = async () => {
    server.destroy();
    await server.closed;
  };
  return { ...server, opened, bugs, closes: () => closes, stop };
}

export function echoSession(address: string, settings = {}): ClientHttp2Session {
  const client = connect(`http://${address}`, { settings });
  client.on("error", () => undefined);
  return client;
}

export function callEcho(client: ClientHttp2Session, headers: Record<string, string> = {}) {
  const stream = client.request({
    ":method": "POST",
    ":path": ECHO,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  stream.on("error", () => undefined);
  return stream;
}

export type Ending = {
  readonly httpStatus: number;
  readonly grpcStatus: string;
  readonly body: Buffer;
};

export async function endingOf(stream: ClientHttp2Stream): Promise<Ending> {
  const chunks: Buffer[] = [];
  let httpStatus = 0;
  let grpcStatus = "none";
  const note = ({ "grpc-status": status }: Readonly<Record<string, unknown>>) => {
    if (typeof status === "string") grpcStatus = status;
  };
  stream.on("response", (headers) => {
    httpStatus = headers[":status"] ?? 0;
    note(headers);
  });
  stream.on("trailers", note);
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(stream, "close");
  return { httpStatus, grpcStatus, body: Buffer.concat(chunks) };
}
