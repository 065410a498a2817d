import { setTimeout as delay } from "node:timers/promises";
import { ServiceError } from "../../core/error.js";
import { listenGrpcJs } from "../grpc/grpc-js/listen.js";
import { makeHealth, type Health } from "./health.js";
import { LIMITS } from "../grpc/http2/limits.js";
import { listenHttp2 } from "../grpc/http2/listen.js";
import { PROCESS_PATH } from "./protocol.js";
import { makeProcess, type ExtProcService, type Process } from "./service.js";
import type { Transport } from "../grpc/stream.js";
import { SHOULD_RATE_LIMIT_PATH } from "../rate-limit/protocol.js";
import { makeRateLimitMethod, type RateLimitService } from "../rate-limit/service.js";
import { freeUnixSocket } from "../grpc/unix-socket.js";
import { within } from "../within.js";

/** A peer that does not answer a ping in this time is not waited for. */
const RETIRE_TIMEOUT_MS = 1000;
/** For the ends of decided streams to leave the machine before their connections are cut. */
const LAST_WORDS_MS = 100;

/** What carries gRPC: both serve the same, see docs/operations.md. */
export const TRANSPORTS = ["http2", "grpc-js"] as const;
export type TransportName = (typeof TRANSPORTS)[number];

export type ExtProcOptions = ExtProcService & {
  /** What Envoy's own rate limit filter may ask on the same port. */
  readonly rateLimit: Omit<RateLimitService, "logger">;
  /** `HOST:PORT` (port 0 takes a free one) or `unix:/path/of.sock`. */
  readonly address: string;
  readonly transport: TransportName;
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
 * Serves `envoy.service.ext_proc.v3.ExternalProcessor`, `envoy.service.ratelimit.v3.RateLimitService`
 * and `grpc.health.v1`. Plaintext: the mesh's sidecar does mTLS, and beside a plain Envoy a unix
 * socket needs none.
 */
export async function serveExtProc(options: ExtProcOptions): Promise<ExtProcServer> {
  const process = makeProcess(options);
  const health = makeHealth();
  const transport = await listen(options, process, health);
  options.logger.info({ address: transport.address }, "ext_proc is serving");
  let drained: Promise<void> | undefined;
  return {
    address: transport.address,
    drain: () => (drained ??= drain(transport, process, health, options)),
  };
}

async function listen(
  { address, transport, metrics, logger, rateLimit }: ExtProcOptions,
  { accept }: Process,
  health: Health,
): Promise<Transport> {
  await freeUnixSocket(address);
  const onBug = (error: unknown) => {
    metrics.failed();
    logger.error({ err: error }, "a stream or its connection ended with an error of ours");
  };
  const methods = new Map([
    ...health.methods,
    [PROCESS_PATH, accept],
    [SHOULD_RATE_LIMIT_PATH, makeRateLimitMethod({ ...rateLimit, logger })],
  ]);
  try {
    return transport === "grpc-js"
      ? await listenGrpcJs(address, methods)
      : await listenHttp2(address, { methods, onBug, limits: LIMITS });
  } catch (cause) {
    const message =
      `cannot listen on ${address}: ${String(cause)}; ` +
      "give a free HOST:PORT, or unix:/path in a folder this user may write";
    throw new ServiceError("dependencyDown", message, { cause });
  }
}

/**
 * Readiness goes first, and streams are still accepted for the whole drain time: the mesh keeps
 * sending until it has noticed, and a refused connection is a request that passes undecided. Then
 * peers are told to go elsewhere, open streams finish, and what is left at the deadline is reset.
 */
async function drain(
  transport: Transport,
  { endAnswered }: Process,
  health: Health,
  { drainMs, finishMs, logger }: ExtProcOptions,
): Promise<void> {
  const { closed } = transport;
  health.notReady();
  logger.info({ drainMs }, "ext_proc is draining");
  await delay(drainMs);
  await transport.retire(RETIRE_TIMEOUT_MS);
  await within(finishMs, closed);
  endAnswered();
  await within(LAST_WORDS_MS, closed);
  transport.destroy();
  await closed;
  logger.info("ext_proc has stopped");
}
