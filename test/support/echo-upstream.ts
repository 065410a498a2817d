import { createServer as createHttp1Server, type IncomingHttpHeaders } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { Server } from "node:net";

export type ReceivedRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** HTTP version on the last hop. */
  readonly httpVersion: string;
};

/** Answers a request; a promise holds it open. */
export type EchoAnswer = (request: ReceivedRequest) => EchoReply | Promise<EchoReply>;
export type EchoReply = {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
};

export type EchoUpstream = {
  readonly port: number;
  /** What it was sent, in order of arrival of the last byte. */
  readonly received: ReceivedRequest[];
  /** Changes the answer; the first one is an empty 200. */
  readonly answerWith: (answer: EchoAnswer) => void;
  /** Holds requests open; the function it gives back answers them with an empty 200. */
  readonly hold: () => () => void;
  readonly close: () => Promise<void>;
};

/** A pod that records what reaches it, on a free loopback port. */
export async function startEchoUpstream(
  options: { readonly http2?: boolean; readonly name?: string } = {},
): Promise<EchoUpstream> {
  const received: ReceivedRequest[] = [];
  let answer: EchoAnswer = () => ({ body: options.name ?? "" });
  const listener: Parameters<typeof createHttp1Server>[1] = (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "", url: path = "", headers, httpVersion } = request;
      const one = { method, path, headers, httpVersion, body: Buffer.concat(chunks).toString() };
      received.push(one);
      void Promise.resolve(answer(one)).then((reply) => {
        response.writeHead(reply.status ?? 200, reply.headers);
        response.end(reply.body ?? "");
      });
    });
  };
  const server: Server =
    options.http2 === true
      ? // The compatibility layer gives HTTP/2 requests the shape of HTTP/1 ones.
        createHttp2Server(listener as unknown as Parameters<typeof createHttp2Server>[1])
      : createHttp1Server({ keepAliveTimeout: 0 }, listener);
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 4096, resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("echo upstream has no port");
  return {
    port: address.port,
    received,
    answerWith: (next) => {
      answer = next;
    },
    hold: () => {
      let release = (): void => undefined;
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      answer = () => released.then(() => ({}));
      return release;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        for (const socket of sockets) socket.destroy();
      }),
  };
}
