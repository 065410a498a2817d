import { setTimeout as sleep } from "node:timers/promises";
import closeWithGrace from "close-with-grace";
import { Registry } from "prom-client";
import { openJsonlLog } from "../adapters/event-log/jsonl-log.js";
import { onnxModelRuntime } from "../adapters/onnxruntime/onnx-model-runtime.js";
import { prometheusEventLogMetrics } from "../adapters/prometheus/event-log-metrics.js";
import { exposeProcess } from "../adapters/prometheus/process-metrics.js";
import { prometheusServingMetrics } from "../adapters/prometheus/serving-metrics.js";
import { systemClock } from "../adapters/system/clock.js";
import { makeLogger, type LogLevel } from "../adapters/system/logger.js";
import { makeInfer } from "../app/infer.js";
import type { Timer } from "../app/model-ports.js";
import { ServedModels } from "../app/served-models.js";
import { ByteBudget } from "../core/serving/byte-budget.js";
import type { PredictionEvent } from "../schema/events.js";
import { serveAdmin } from "../servers/admin-http/server.js";
import { serveInferenceHttp } from "../servers/inference-http/server.js";
import { wireStatusOf } from "../servers/wire-status.js";
import { packageVersion } from "./version.js";

export type ServeOptions = {
  /** Folder with `<model>/<version>/model.onnx`. */
  readonly repository: string;
  /** `HOST:PORT`; port 0 picks a free one. */
  readonly httpAddress: string;
  readonly adminAddress: string;
  /** Every prediction of this process is one of a copy. */
  readonly shadow: boolean;
  /** Where predictions are logged; absent: they are not. */
  readonly logDirectory?: string | undefined;
  readonly logLevel: LogLevel;
  readonly maxBodyBytes: number;
  readonly maxJsonBytes: number;
  /** Bytes of bodies of all requests under way. */
  readonly maxHeldBytes: number;
  readonly requestTimeoutMs: number;
  /** How long requests are still accepted after SIGTERM, while the mesh takes note. */
  readonly drainMs?: number | undefined;
};

const DRAIN_MS = 3000;
/** Beyond the drain, for what is queued and running. */
const FINISH_MS = 30_000;

const afterMs: Timer = (delayMs, run) => {
  const handle = setTimeout(run, delayMs);
  return () => {
    clearTimeout(handle);
  };
};

/** Serves until SIGTERM or SIGINT. Prints one JSON line with the addresses when ready. */
export async function serve(options: ServeOptions): Promise<void> {
  const { drainMs = DRAIN_MS } = options;
  const logger = makeLogger({ name: "weir-serve", level: options.logLevel });
  const registry = new Registry();
  exposeProcess(registry);
  const metrics = prometheusServingMetrics(registry);
  const runtime = onnxModelRuntime({ timer: afterMs, logger, publicKeys: [] });
  const loaded = await runtime.load(options.repository);
  const models = new ServedModels(loaded, { clock: systemClock, timer: afterMs, metrics });
  const closers = [() => models.close()];
  try {
    const predictions = openPredictionLog(options.logDirectory, registry);
    if (predictions !== undefined) closers.push(() => predictions.close());
    const infer = makeInfer({
      ...{ models, metrics, predictions, clock: systemClock, shadow: options.shadow },
      statusOf: (error) => wireStatusOf(error).http,
    });
    const http = await serveInferenceHttp({
      ...{ models, infer, logger, clock: systemClock, address: options.httpAddress },
      ...{ serverVersion: packageVersion(), budget: new ByteBudget(options.maxHeldBytes) },
      ...{ maxBodyBytes: options.maxBodyBytes, maxJsonBytes: options.maxJsonBytes },
      requestTimeoutMs: options.requestTimeoutMs,
    });
    closers.unshift(() => http.close());
    const ready = () => models.ready();
    const admin = await serveAdmin({ address: options.adminAddress, registry, ready, logger });
    closers.push(() => admin.close());
    closeWithGrace({ delay: drainMs + FINISH_MS, logger }, async ({ err }) => {
      if (err !== undefined) logger.fatal({ err }, "closing after an error");
      models.startDraining();
      await sleep(drainMs);
      await closeInOrder(closers);
    });
    const line = { ready: true, http: http.address, admin: admin.address };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  } catch (error) {
    await closeInOrder(closers);
    throw error;
  }
}

async function closeInOrder(closers: readonly (() => Promise<void>)[]): Promise<void> {
  for (const close of closers) await close();
}

function openPredictionLog(directory: string | undefined, registry: Registry) {
  if (directory === undefined) return undefined;
  const counters = prometheusEventLogMetrics(registry)("predictions");
  const log = { directory, prefix: "predictions", clock: systemClock, ...counters };
  return openJsonlLog<PredictionEvent>(log);
}
