import http2 from "node:http2";
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { retire, type OpenSessions } from "./goaway.js";
import { RESET_BUDGET, STREAMS_PER_SESSION } from "./rapid-reset.js";

/**
 * grpc-js makes its HTTP/2 server itself and hands out neither options nor sessions. While `bind`
 * runs, http2's constructors are wrapped: the server gets the reset budget (rapid-reset.ts) and we
 * learn its sessions (goaway.ts). One bind at a time, or one would undo the other's wrapping.
 */
export function bindWithHttp2<Bound>(bind: () => Promise<Bound>): Promise<BoundHttp2<Bound>> {
  const bound = turn.then(() => bindWrapped(bind));
  turn = bound.catch(() => undefined);
  return bound;
}

export type BoundHttp2<Bound> = {
  readonly bound: Bound;
  readonly sessions: OpenSessions;
};

let turn: Promise<unknown> = Promise.resolve();

type Constructor = (options: object, ...rest: readonly unknown[]) => Http2Server;
type Constructors = { createServer: Constructor; createSecureServer: Constructor };

async function bindWrapped<Bound>(bind: () => Promise<Bound>): Promise<BoundHttp2<Bound>> {
  // grpc-js is CommonJS and reads the constructors off this very object when it binds.
  const module = http2 as unknown as Constructors;
  const { createServer, createSecureServer } = module;
  const sessions = new Map<ServerHttp2Session, Set<ServerHttp2Stream>>();
  const wrap =
    (create: Constructor): Constructor =>
    (options, ...rest) => {
      const server = create({ ...options, ...RESET_BUDGET }, ...rest);
      server.on("session", (session) => {
        const streams = new Set<ServerHttp2Stream>();
        let served = 0;
        sessions.set(session, streams);
        session.once("close", () => sessions.delete(session));
        session.on("stream", (stream) => {
          streams.add(stream);
          stream.once("close", () => streams.delete(stream));
          served++;
          if (served === STREAMS_PER_SESSION) void retire(session, streams);
        });
      });
      return server;
    };
  module.createServer = wrap(createServer);
  module.createSecureServer = wrap(createSecureServer);
  try {
    return { bound: await bind(), sessions };
  } finally {
    module.createServer = createServer;
    module.createSecureServer = createSecureServer;
  }
}
