import { trace } from "@opentelemetry/api";
import pino from "pino";
import { afterEach } from "vitest";
import { systemClock } from "../../src/adapters/system/clock.js";
import type { HandleRequest } from "../../src/app/handle-request.js";
import type { RequestFacts } from "../../src/core/routing/facts.js";
import type { ExtProcMetrics } from "../../src/servers/ext-proc/metrics.js";
import {
  serveExtProc,
  TRANSPORTS,
  type ExtProcOptions,
  type TransportName,
} from "../../src/servers/ext-proc/server.js";
import { aDecision, aLimit, aVerdict } from "../unit/servers/ext-proc/a-decision.js";
import { extProcClient, requestHeaders, type ExtProcClient } from "./ext-proc-client.js";

type Counts = Record<string, number>;

type StartedExtProc = {
  readonly address: string;
  readonly drain: () => Promise<void>;
  readonly client: ExtProcClient;
  /** Calls of ExtProcMetrics by name; messages by kind. */
  readonly counts: Counts;
  readonly log: () => string;
  /** The facts of every request that was decided. */
  readonly seen: readonly RequestFacts[];
};

export const user = (id: string | Buffer) => requestHeaders([["x-user-id", id]]);

/** Users are assigned, but `limited` and `refused` are refused, and `bug` throws. */
const handleByUser: HandleRequest = ({ headers }) => {
  const [name = "nobody"] = headers.values("x-user-id");
  const id = `decision-of-${name}`;
  if (name === "bug") throw new Error("seeded failure");
  if (name === "limited") {
    const limits = [aVerdict({ kind: "limited", remaining: 0, retryAfterMs: 100 })];
    return { kind: "limited", decision: aDecision({ limits }), id, retryAfterMs: 100 };
  }
  if (name === "refused") return { kind: "refused", decision: aDecision(), id };
  return { kind: "admitted", decision: aDecision({ limits: [aVerdict()] }), id };
};

function countInto(counts: Counts, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

function countingMetrics(counts: Counts): ExtProcMetrics {
  const count = (name: string) => {
    countInto(counts, name);
  };
  return {
    streamOpened: () => {
      count("opened");
    },
    streamClosed: () => {
      count("closed");
    },
    received: count,
    spurious: () => {
      count("spurious");
    },
    answered: () => {
      count("answered");
    },
    failed: () => {
      count("failed");
    },
    headerDropped: () => {
      count("dropped");
    },
  };
}

/** Starts servers for the tests of a file, and ends what a test opened when it is over. */
export function extProcServers(transport: TransportName) {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  const start = async (overrides: Partial<ExtProcOptions> = {}): Promise<StartedExtProc> => {
    const started = await startExtProc({ transport, ...overrides });
    closing.push(started.stop);
    return started;
  };
  return { start, closing };
}

/** Every suite of the protocol runs on each transport. */
export const EVERY_TRANSPORT = TRANSPORTS.map((transport) => ({ transport }));

/** A real server on a free port and a client of it; both end with `stop`. */
async function startExtProc(
  overrides: Partial<ExtProcOptions> & Pick<ExtProcOptions, "transport">,
): Promise<StartedExtProc & { readonly stop: () => Promise<void> }> {
  const counts: Counts = {};
  const lines: string[] = [];
  const seen: RequestFacts[] = [];
  const { handle = handleByUser, ...rest } = overrides;
  const server = await serveExtProc({
    address: "127.0.0.1:0",
    handle: (facts) => {
      seen.push(facts);
      return handle(facts);
    },
    rateLimit: {
      shouldRateLimit: ({ domain }) => ({ domain, isOver: false, statuses: [] }),
      metrics: {
        judged: () => undefined,
        answered: () => undefined,
        refused: (because) => {
          countInto(counts, `rateLimit ${because}`);
        },
      },
    },
    unhealthy: () => new Set(),
    limitOf: (name) => aLimit({ name }),
    alsoStrip: () => ["x-force"],
    undecided: () => undefined,
    logger: pino({ level: "debug" }, { write: (line) => void lines.push(line) }),
    tracer: trace.getTracer("test"),
    metrics: countingMetrics(counts),
    clock: systemClock,
    drainMs: 0,
    finishMs: 2000,
    ...rest,
  });
  const client = extProcClient(server.address);
  const drain = () => server.drain();
  const stop = () => {
    client.close();
    return drain();
  };
  return { address: server.address, drain, stop, client, counts, seen, log: () => lines.join("") };
}
