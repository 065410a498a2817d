import { createPublicKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import closeWithGrace from "close-with-grace";
import type { Logger } from "pino";
import { Registry } from "prom-client";
import { openJsonlLog } from "../adapters/event-log/jsonl-log.js";
import { onnxModelRuntime } from "../adapters/onnxruntime/onnx-model-runtime.js";
import { openRepositoryWatch } from "../adapters/onnxruntime/watch-repository.js";
import type { RepositoryEvents } from "../adapters/onnxruntime/watch-repository.js";
import { prometheusEventLogMetrics } from "../adapters/prometheus/event-log-metrics.js";
import { exposeProcess } from "../adapters/prometheus/process-metrics.js";
import { prometheusServingMetrics } from "../adapters/prometheus/serving-metrics.js";
import { exposeTritonMetrics } from "../adapters/prometheus/triton-metrics.js";
import { systemClock } from "../adapters/system/clock.js";
import { usableCores } from "../adapters/system/usable-cores.js";
import { makeLogger, type LogLevel } from "../adapters/system/logger.js";
import { makeInfer } from "../app/infer.js";
import { meteredLoad } from "../app/metered-load.js";
import type { Timer } from "../app/model-ports.js";
import { ModelRepository } from "../app/model-repository.js";
import type { ModelControl } from "../app/model-repository.js";
import { recordedMetrics } from "../app/recorded-metrics.js";
import { ServedModels } from "../app/served-models.js";
import { ServiceError } from "../core/error.js";
import { ByteBudget } from "../core/serving/byte-budget.js";
import { ServingStatistics } from "../core/serving/statistics.js";
import type { PredictionEvent } from "../schema/events.js";
import type { ExecutionProvider } from "../schema/model-manifest.js";
import { queueRoutes } from "../servers/admin-http/queue-routes.js";
import { serveAdmin } from "../servers/admin-http/server.js";
import { serveInferenceGrpc } from "../servers/inference-grpc/server.js";
import type { InferenceGrpcOptions } from "../servers/inference-grpc/server.js";
import { serveInferenceHttp } from "../servers/inference-http/server.js";
import { wireStatusOf } from "../servers/wire-status.js";
import { keepGrpcLinesAsJson } from "./grpc-lines.js";
import { packageVersion } from "./version.js";

export type ServeOptions = {
  /** Folder with `<model>/<version>/model.onnx`. */
  readonly repository: string;
  /** `HOST:PORT`; port 0 picks a free one. */
  readonly httpAddress: string;
  readonly grpcAddress: string;
  readonly adminAddress: string;
  /** Every prediction of this process is one of a copy. */
  readonly shadow: boolean;
  /** Where predictions are logged; absent: they are not. */
  readonly logDirectory?: string | undefined;
  readonly logLevel: LogLevel;
  readonly modelControl: ModelControl;
  /** Of models whose model.yaml names none. */
  readonly executionProviders: readonly ExecutionProvider[];
  /** Files with Ed25519 public keys: only models that one of them signed are served. */
  readonly modelKeys: readonly string[];
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
  if (delayMs === 0) {
    const turn = setImmediate(run);
    return () => {
      clearImmediate(turn);
    };
  }
  const handle = setTimeout(run, delayMs);
  return () => {
    clearTimeout(handle);
  };
};

/** Serves until SIGTERM or SIGINT. Prints one JSON line with the addresses when ready. */
export async function serve(options: ServeOptions): Promise<void> {
  silenceRuntime();
  const { drainMs = DRAIN_MS } = options;
  const logger = makeLogger({ name: "weir-serve", level: options.logLevel });
  keepGrpcLinesAsJson(logger);
  const registry = new Registry();
  exposeProcess(registry);
  const statistics = new ServingStatistics();
  const recorded = recordedMetrics(statistics, prometheusServingMetrics(registry));
  const { metrics, loadOf } = meteredLoad(systemClock, recorded);
  const publicKeys = await Promise.all(options.modelKeys.map(readPublicKey));
  const cores = await usableCores();
  const { executionProviders } = options;
  const runtime = onnxModelRuntime({
    ...{ usableCores: cores, executionProviders, timer: afterMs, logger, publicKeys },
  });
  const { repository: root, modelControl: control } = options;
  // Opened before the models are, so that no change falls between.
  const watch = control === "poll" ? await openRepositoryWatch(root, afterMs) : undefined;
  const parts = { clock: systemClock, timer: afterMs, metrics };
  const models = new ServedModels(await runtime.load(root), parts);
  exposeTritonMetrics(registry, statistics, () =>
    models.list().map(({ spec: { name, version } }) => ({ model: name, version })),
  );
  const repository = new ModelRepository({ root, control, runtime, models });
  watch?.start(followFiles(repository, models, logger));
  const closers = [() => repository.close(), () => models.close()];
  try {
    models.checkSteps();
    const predictions = openPredictionLog(options.logDirectory, registry);
    if (predictions !== undefined) closers.push(() => predictions.close());
    const infer = makeInfer({
      ...{ models, metrics, predictions, clock: systemClock, shadow: options.shadow },
      statusOf: (error) => wireStatusOf(error).http,
    });
    const servers = await startServers(options, {
      ...{ models, infer, repository, statistics, logger, clock: systemClock },
      ...{ serverVersion: packageVersion(), budget: new ByteBudget(options.maxHeldBytes) },
      loadNow: () => loadOf(models),
    });
    closers.unshift(() => servers.close());
    const ready = () => models.ready();
    const routes = queueRoutes(models);
    const address = options.adminAddress;
    const admin = await serveAdmin({ address, registry, ready, routes, logger });
    closers.push(() => admin.close());
    closeWithGrace({ delay: drainMs + FINISH_MS, logger }, async ({ err }) => {
      if (err !== undefined) logger.fatal({ err }, "closing after an error");
      models.startDraining();
      watch?.close();
      await sleep(drainMs);
      await closeInOrder(closers);
    });
    const line = { ready: true, ...servers.addresses, admin: admin.address };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  } catch (error) {
    watch?.close();
    await closeInOrder(closers);
    throw error;
  }
}

/** onnxruntime would report its use to its makers; a pod talks to nobody unless told to. */
function silenceRuntime(): void {
  process.env["ORT_DISABLE_TELEMETRY"] ??= "1";
}

type Serving = Omit<InferenceGrpcOptions, "address" | "maxBodyBytes" | "requestTimeoutMs">;

/** Both wires, which close side by side. */
async function startServers(options: ServeOptions, serving: Serving) {
  const { httpAddress, grpcAddress, maxBodyBytes, maxJsonBytes, requestTimeoutMs } = options;
  const parts = { ...serving, maxBodyBytes, requestTimeoutMs };
  const http = await serveInferenceHttp({ ...parts, maxJsonBytes, address: httpAddress });
  try {
    const grpc = await serveInferenceGrpc({ ...parts, address: grpcAddress });
    return {
      addresses: { http: http.address, grpc: grpc.address },
      close: async () => {
        await Promise.all([http.close(), grpc.close()]);
      },
    };
  } catch (error) {
    await http.close();
    throw error;
  }
}

function followFiles(
  repository: ModelRepository,
  models: ServedModels,
  logger: Logger,
): RepositoryEvents {
  const told = (model: string, change: Promise<void>, what: string) => {
    change.then(
      () => {
        logger.info({ model }, `model ${what}`);
      },
      (err: unknown) => {
        logger.error({ model, err }, `model could not be ${what}`);
      },
    );
  };
  return {
    changed: (model) => {
      told(model, repository.refresh(model), "loaded");
    },
    removed: (model) => {
      // Its files were refused, and nothing else of it is here.
      if (models.loaded(model) === undefined) return;
      told(model, repository.drop(model), "unloaded");
    },
  };
}

async function readPublicKey(file: string): Promise<string> {
  try {
    const pem = await readFile(file, "utf8");
    const { asymmetricKeyType } = createPublicKey(pem);
    if (asymmetricKeyType === "ed25519") return pem;
    throw new Error(`it is a key of ${String(asymmetricKeyType)}, not of Ed25519`);
  } catch (cause) {
    const because = cause instanceof Error ? cause.message : String(cause);
    throw new ServiceError("badRequest", `--model-key ${file} cannot be used: ${because}`);
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
