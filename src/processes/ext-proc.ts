import closeWithGrace from "close-with-grace";
import type { Logger } from "pino";
import { Registry } from "prom-client";
import { openJsonlLog } from "../adapters/event-log/jsonl-log.js";
import { startTracing } from "../adapters/otel/start-tracing.js";
import { loadPolicyOffThread } from "../adapters/policy-file/load-off-thread.js";
import { watchPolicy } from "../adapters/policy-file/watch-policy.js";
import { prometheusDecisionMetrics } from "../adapters/prometheus/decision-metrics.js";
import { prometheusEventLogMetrics } from "../adapters/prometheus/event-log-metrics.js";
import { prometheusExtProcMetrics } from "../adapters/prometheus/ext-proc-metrics.js";
import { prometheusPolicyMetrics } from "../adapters/prometheus/policy-metrics.js";
import { exposeOverload } from "../adapters/prometheus/overload-metrics.js";
import { exposeProcess } from "../adapters/prometheus/process-metrics.js";
import { prometheusRateLimitMetrics } from "../adapters/prometheus/rate-limit-metrics.js";
import { exposeVersionHealth } from "../adapters/prometheus/version-health-metrics.js";
import { processCpuMs, systemClock } from "../adapters/system/clock.js";
import { makeLogger, type LogLevel } from "../adapters/system/logger.js";
import { systemRandom } from "../adapters/system/random.js";
import { pollVersionHealth } from "../adapters/version-health/poll-version-health.js";
import {
  makeHandleRequest,
  type HandleRequest,
  type HandleRequestPorts,
} from "../app/handle-request.js";
import { watchOverload, type OverloadWatch } from "../app/overload-watch.js";
import { makeShouldRateLimit } from "../app/should-rate-limit.js";
import type { AssignmentLog, LimitStore, Random } from "../app/ports.js";
import type { CompiledPolicy } from "../core/policy/compiled-policy.js";
import { policyRoutes } from "../servers/admin-http/policy-routes.js";
import { serveAdmin } from "../servers/admin-http/server.js";
import { serveExtProc, type TransportName } from "../servers/ext-proc/server.js";
import { EXIT, ExitError } from "./exit.js";
import { keepGrpcLinesAsJson } from "./grpc-lines.js";
import { keysNotGiven } from "./policy-option.js";
import { warmUp } from "./warm-up.js";
import { openLimitStore, type RedisOptions } from "./limit-store.js";

export type ExtProcProcessOptions = {
  readonly policyFile: string;
  readonly overrideKeys: ReadonlyMap<string, Uint8Array>;
  /** `HOST:PORT` (port 0 picks a free one) or `unix:/PATH`. */
  readonly grpcAddress: string;
  readonly transport: TransportName;
  readonly adminAddress: string;
  /** Where assignments are logged; absent: they are not. */
  readonly logDirectory: string | undefined;
  readonly logLevel: LogLevel;
  readonly limitKeys: number;
  /** The event loop may be so late before requests are shed. */
  readonly maxLagMs: number;
  /** Absent: limits are this replica's own. */
  readonly redis: RedisOptions | undefined;
  readonly otlpEndpoint: string | undefined;
  readonly traceSampleRatio: number;
  readonly drainMs: number;
  readonly finishMs: number;
};

/** Serves until SIGTERM or SIGINT. Prints one JSON line with the addresses when ready. */
export async function runExtProc(options: ExtProcProcessOptions): Promise<void> {
  const logger = makeLogger({ name: "weir-extproc", level: options.logLevel });
  keepGrpcLinesAsJson(logger);
  const registry = new Registry();
  exposeProcess(registry);
  const random = systemRandom();
  const common = { logger, clock: systemClock };
  const { policy, health } = await watchPolicyAndHealth(options, registry, random, logger);
  const limits = await openLimitStore({
    ...{ redis: options.redis, limitKeys: options.limitKeys, random, registry, logger },
    namespace: policy.current().name,
  });
  const { logDirectory } = options;
  const log = logDirectory === undefined ? undefined : openLog(logDirectory, registry, logger);
  // Before tracing begins, so that no span of it is sent.
  await tryWarmUp(policy.current(), options.transport, logger);
  const tracing = startTracing({
    serviceName: "weir-extproc",
    endpoint: options.otlpEndpoint,
    sampleRatio: options.traceSampleRatio,
  });
  const overload = watchForOverload(options.maxLagMs, registry, logger);
  let state: "starting" | "ready" | "draining" = "starting";
  const admin = await serveAdmin({
    ...{ address: options.adminAddress, registry, logger },
    ready: () => ({
      ready: state === "ready",
      detail: { state, policy: policy.current().version, refusedPolicy: policy.refused() },
    }),
    routes: policyRoutes({ ...common, policy: policy.current, limits, health }),
  }).catch(afterClosing(limits));
  const server = await serveExtProc({
    ...common,
    address: options.grpcAddress,
    transport: options.transport,
    handle: deciding({ policy: policy.current, limits, log, random, overload }, registry, logger),
    rateLimit: rateLimiting(policy.current, limits, registry),
    unhealthy: health.unhealthy,
    limitOf: (name) => policy.current().limits.get(name),
    alsoStrip: () => ownOverrideHeader(policy.current()),
    undecided: overload.undecided,
    tracer: tracing.tracer,
    metrics: prometheusExtProcMetrics(registry),
    ...{ drainMs: options.drainMs, finishMs: options.finishMs },
  }).catch(afterClosing(limits, admin));
  state = "ready";
  closeWithGrace({ delay: options.drainMs + 2 * options.finishMs, logger }, async ({ err }) => {
    if (err !== undefined) logger.fatal({ err }, "stopping after an error");
    state = "draining";
    await server.drain();
    policy.close();
    health.close();
    overload.close();
    await Promise.all([limits.close(), log?.close(), tracing.close(), admin.close()]);
  });
  const line = { ready: true, grpc: server.address, admin: admin.address };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function deciding(
  ports: Omit<HandleRequestPorts, "metrics" | "clock" | "onError">,
  registry: Registry,
  logger: Logger,
): HandleRequest {
  return makeHandleRequest({
    ...{ ...ports, clock: systemClock },
    metrics: prometheusDecisionMetrics(registry),
    onError: (err) => {
      logger.error({ err }, "deciding failed, the default version serves");
    },
  });
}

function watchForOverload(maxLagMs: number, registry: Registry, logger: Logger): OverloadWatch {
  const overload = watchOverload({
    ...{ clock: systemClock, cpuMs: processCpuMs, maxLagMs },
    onChange: ({ isShedding, ...seen }) => {
      if (isShedding) logger.warn(seen, "overloaded: shedding to the default decision");
      else logger.warn(seen, "recovered: deciding again");
    },
  });
  exposeOverload(registry, overload.isShedding);
  return overload;
}

/** Envoy's own rate limit filter charges the same store. */
function rateLimiting(policy: () => CompiledPolicy, limits: LimitStore, registry: Registry) {
  const metrics = prometheusRateLimitMetrics(registry);
  return {
    metrics,
    shouldRateLimit: makeShouldRateLimit({ policy, limits, clock: systemClock, metrics }),
  };
}

/** A start fails whole: what was opened must not keep the process alive. */
function afterClosing(...opened: readonly { readonly close: () => Promise<unknown> }[]) {
  return async (error: unknown): Promise<never> => {
    await Promise.all(opened.map((one) => one.close()));
    throw error;
  };
}

/** Exits with every mistake of the file before any port is bound. */
async function watchPolicyAndHealth(
  { policyFile, overrideKeys }: ExtProcProcessOptions,
  registry: Registry,
  random: Random,
  logger: Logger,
) {
  const metrics = prometheusPolicyMetrics(registry);
  const health = pollVersionHealth({
    models: [],
    random,
    onChange: (change) => {
      logger.warn(change, "version health changed");
    },
  });
  exposeVersionHealth(registry, health);
  const policy = await watchPolicy(policyFile, (file) => loadPolicyOffThread(file, overrideKeys), {
    onLoaded: (loaded, warnings) => {
      metrics.applied(loaded.version);
      health.update(loaded.source.models);
      logger.info({ policy: loaded.version, warnings }, "policy is in force");
      const unsigned = keysNotGiven(loaded.source, overrideKeys);
      if (unsigned.length > 0) {
        logger.warn({ signed: unsigned }, "no --override-key for these: their tokens are refused");
      }
    },
    onRefused: (mistakes) => {
      metrics.refused();
      logger.error({ mistakes }, "new policy is refused, the old one stays in force");
    },
  });
  if ("mistakes" in policy) {
    health.close();
    throw new ExitError(EXIT.badConfiguration, policy.mistakes.join("\n"));
  }
  return { policy, health };
}

/** A cold start is slow for a moment, and no reason not to start. */
async function tryWarmUp(
  policy: CompiledPolicy,
  transport: TransportName,
  logger: Logger,
): Promise<void> {
  const startedMs = systemClock.monotonicMs();
  try {
    await warmUp(policy, transport);
    logger.info({ ms: Math.round(systemClock.monotonicMs() - startedMs) }, "warmed up");
  } catch (err) {
    logger.warn({ err }, "warming up failed, the first requests will be slow");
  }
}

function openLog(directory: string, registry: Registry, logger: Logger): AssignmentLog {
  const counters = prometheusEventLogMetrics(registry)("assignments");
  return openJsonlLog({
    ...{ directory, prefix: "assignments", clock: systemClock },
    ...counters,
    onError: (err) => {
      counters.onError();
      logger.warn({ err }, "the assignment log cannot be written, trying again");
    },
  });
}

/** An override header outside x-weir-* is not stripped with its family. */
const ownOverrideHeader = ({ overrides }: CompiledPolicy): readonly string[] =>
  overrides === undefined ? [] : [overrides.header];
