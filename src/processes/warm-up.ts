import { once } from "node:events";
import { Client, credentials } from "@grpc/grpc-js";
import { trace } from "@opentelemetry/api";
import { pino } from "pino";
import { memoryLimitStore } from "../adapters/memory/limit-store.js";
import { systemClock } from "../adapters/system/clock.js";
import { systemRandom } from "../adapters/system/random.js";
import { makeHandleRequest } from "../app/handle-request.js";
import type { CompiledPolicy } from "../core/policy/compiled-policy.js";
import { PROCESS_PATH, processingRequestType } from "../servers/ext-proc/protocol.js";
import {
  serveExtProc,
  type ExtProcServer,
  type TransportName,
} from "../servers/ext-proc/server.js";

const ROUNDS = 200;
const DEADLINE_MS = 5000;

/**
 * Decides made-up requests for the policy's own models through a second server, so that the first
 * real request does not wait for code to be compiled: most of that is gRPC's and HTTP/2's. The
 * ports lead nowhere: no metric, quota, log line or span knows of it.
 */
export async function warmUp(policy: CompiledPolicy, transport: TransportName): Promise<void> {
  const server = await serveNowhere(policy, transport);
  // A proxy of the environment is for calls that leave the machine.
  const options = { "grpc.enable_http_proxy": 0, "grpc.use_local_subchannel_pool": 1 };
  const client = new Client(server.address, credentials.createInsecure(), options);
  const deadline = systemClock.nowMs() + DEADLINE_MS;
  const asTheyAre = (bytes: Buffer) => bytes;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const call = client.makeBidiStreamRequest(PROCESS_PATH, asTheyAre, asTheyAre, { deadline });
      call.write(requestHeaders(policy, round));
      await once(call, "data");
      call.end();
      await once(call, "status");
    }
  } finally {
    client.close();
    await server.drain();
  }
}

function serveNowhere(policy: CompiledPolicy, transport: TransportName): Promise<ExtProcServer> {
  const nothing = () => undefined;
  return serveExtProc({
    ...{ address: "127.0.0.1:0", transport, drainMs: 0, finishMs: 0, clock: systemClock },
    handle: makeHandleRequest({
      ...{ policy: () => policy, limits: memoryLimitStore(ROUNDS), clock: systemClock },
      ...{ random: systemRandom(), onError: nothing },
      log: { append: nothing, close: () => Promise.resolve() },
      overload: { isShedding: () => false },
      metrics: { decided: nothing, passedThrough: nothing, shed: nothing, failed: nothing },
    }),
    rateLimit: {
      shouldRateLimit: ({ domain }) => ({ domain, isOver: false, statuses: [] }),
      metrics: { judged: nothing, answered: nothing, refused: nothing },
    },
    unhealthy: () => new Set(),
    limitOf: (name) => policy.limits.get(name),
    alsoStrip: () => [],
    undecided: nothing,
    logger: pino({ level: "silent" }),
    tracer: trace.getTracer("warm-up"),
    metrics: {
      ...{ streamOpened: nothing, streamClosed: nothing, received: nothing, spurious: nothing },
      ...{ answered: nothing, failed: nothing, headerDropped: nothing },
    },
  });
}

/** What Envoy would send for one of the models, with a value in every header that the policy reads. */
function requestHeaders({ source, headersRead }: CompiledPolicy, round: number): Buffer {
  const { models } = source;
  const path = models[round % models.length]?.match.pathPrefix ?? "/";
  const pseudo = { ":method": "POST", ":path": path, ":authority": "warm.up" };
  const read = Object.fromEntries(headersRead.map((name) => [name, `warm-up-${round}`]));
  const headers = Object.entries({ ...pseudo, ...read }).map(([key, value]) => ({
    ...{ key, rawValue: Buffer.from(value) },
  }));
  return processingRequestType.serialize({ requestHeaders: { headers: { headers } } });
}
