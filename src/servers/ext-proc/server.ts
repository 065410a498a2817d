import { Server, ServerCredentials } from "@grpc/grpc-js";
import { setTimeout as delay } from "node:timers/promises";
import { ServiceError } from "../../core/error.js";
import { announceGoaway } from "./goaway.js";
import { addHealth, type Health } from "./health.js";
import { bindWithHttp2, type BoundHttp2 } from "./http2-server.js";
import { extProcService } from "./protocol.js";
import { makeProcess, type ExtProcService } from "./service.js";
import { freeUnixSocket } from "./unix-socket.js";

/** A peer that does not answer a ping in this time is not waited for. */
const GOAWAY_TIMEOUT_MS = 1000;
/** For the ends of decided streams to leave the machine before their connections are cut. */
const LAST_WORDS_MS = 100;

export type ExtProcOptions = ExtProcService & {
  /** `HOST:PORT` (port 0 takes a free one) or `unix:/path/of.sock`. */
  readonly address: string;
  /** How long to accept streams after readiness is withdrawn: longer than the mesh takes to see it. */
  readonly drainMs: number;
  /** How long streams that are open after that may take to finish. */
  readonly finishMs: number;
};

export type ExtProcServer = {
  /** As given, with the port that was bound. */
  readonly address: string;
  /** Stops without losing a request: see `drain` below. Further calls wait for the first. */
  drain(): Promise<void>;
};

/**
 * Serves `envoy.service.ext_proc.v3.ExternalProcessor` and `grpc.health.v1`. Plaintext: the mesh's
 * sidecar does mTLS, and beside a plain Envoy a unix socket needs none.
 */
export async function serveExtProc(options: ExtProcOptions): Promise<ExtProcServer> {
  const { address, logger } = options;
  // Channelz bookkeeping costs a tenth of the CPU of a stream, and nobody reads it.
  const server = new Server({ "grpc.enable_channelz": 0 });
  const { process, endAnswered } = makeProcess(options);
  server.addService(extProcService, { Process: process });
  const health = addHealth(server);
  await freeUnixSocket(address);
  const listening = await bindWithHttp2(() => bind(server, address));
  logger.info({ address: listening.bound }, "ext_proc is serving");
  let drained: Promise<void> | undefined;
  return {
    address: listening.bound,
    drain: () => (drained ??= drain(server, health, listening, endAnswered, options)),
  };
}

function bind(server: Server, address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const failed = (cause: unknown) => {
      const message =
        `cannot listen on ${address}: ${String(cause)}; ` +
        "give a free HOST:PORT, or unix:/path in a folder this user may write";
      reject(new ServiceError("dependencyDown", message, { cause }));
    };
    try {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(withPort(address, port));
        else failed(error);
      });
    } catch (error) {
      failed(error);
    }
  });
}

function withPort(address: string, port: number): string {
  return address.startsWith("unix:") ? address : address.replace(/:\d+$/, `:${port}`);
}

/**
 * Readiness goes first, and streams are still accepted for the whole drain time: the mesh keeps
 * sending until it has noticed, and a refused connection is a request that passes undecided. Then
 * peers are told to go elsewhere, open streams finish, and what is left at the deadline is reset.
 */
async function drain(
  server: Server,
  health: Health,
  { bound, sessions }: BoundHttp2<string>,
  endAnswered: () => void,
  { drainMs, finishMs, logger }: ExtProcOptions,
): Promise<void> {
  health.notReady();
  logger.info({ drainMs }, "ext_proc is draining");
  await delay(drainMs);
  await announceGoaway(sessions, GOAWAY_TIMEOUT_MS);
  server.drain(bound, finishMs + 2 * LAST_WORDS_MS);
  const closed = new Promise<void>((resolve) => {
    server.tryShutdown(() => {
      resolve();
    });
  });
  const deadline = new AbortController();
  await Promise.race([
    closed,
    delay(finishMs, undefined, { signal: deadline.signal }).catch(() => undefined),
  ]);
  deadline.abort();
  endAnswered();
  await Promise.race([closed, delay(LAST_WORDS_MS)]);
  // grpc-js without channelz does not know its sessions, so forceShutdown alone would leave them.
  for (const session of sessions.keys()) session.destroy();
  server.forceShutdown();
  await closed;
  logger.info("ext_proc has stopped");
}
