import type { FastifyInstance, LightMyRequestResponse } from "fastify";
import { pino } from "pino";
import { makeInfer } from "../../src/app/infer.js";
import { meteredLoad } from "../../src/app/metered-load.js";
import { ModelRepository } from "../../src/app/model-repository.js";
import { recordedMetrics } from "../../src/app/recorded-metrics.js";
import { ServedModels } from "../../src/app/served-models.js";
import { ByteBudget } from "../../src/core/serving/byte-budget.js";
import { ServingStatistics } from "../../src/core/serving/statistics.js";
import type { PredictionEvent } from "../../src/schema/events.js";
import type { Datatype } from "../../src/schema/model-manifest.js";
import { inferenceHttpApp } from "../../src/servers/inference-http/server.js";
import type { BodyLimits } from "../../src/servers/inference-http/read-body.js";
import { wireStatusOf } from "../../src/servers/wire-status.js";
import { echoModel, fakeRuntime, FakeTime, noMetrics } from "./fake-serving.js";

export const JSON_BODY = { "content-type": "application/json" };

/** Input `x` of a model. */
export const one = (datatype: Datatype, shape: readonly number[] = [-1, 2]) => [
  { name: "x", datatype, shape },
];

/** Input `x` of a request. */
export const x = (over: object = {}) => ({
  ...{ name: "x", shape: [1, 2], datatype: "FP32", data: [1, 2] },
  ...over,
});

const MODELS = [
  echoModel({ name: "echo" }),
  echoModel({ name: "int8", inputs: one("INT8") }),
  echoModel({ name: "uint64", inputs: one("UINT64") }),
  echoModel({ name: "int64", inputs: one("INT64") }),
  echoModel({ name: "bool", inputs: one("BOOL") }),
  echoModel({ name: "bytes", inputs: one("BYTES") }),
  echoModel({ name: "text", inputs: one("BYTES", [-1, 1]) }),
  echoModel({ name: "fp16", inputs: one("FP16") }),
  echoModel({ name: "any", inputs: one("FP32", [-1, -1]) }),
  echoModel({ name: "single", inputs: one("FP32", [-1, -1]), maxBatchSize: 1 }),
  echoModel({
    name: "pair",
    inputs: [...one("FP32"), { name: "z", datatype: "FP32", shape: [-1] }],
  }),
  echoModel({ name: "pipeline", takesRawBody: true }),
  echoModel({ name: "classes", inputs: one("FP32", [-1, 3]), labels: ["cat", "dog"] }),
];

export type InferenceApp = {
  readonly app: FastifyInstance;
  readonly models: ServedModels;
  readonly logged: readonly PredictionEvent[];
  readonly budget: ByteBudget;
  readonly post: (
    model: string,
    body: unknown,
    headers?: Record<string, string>,
  ) => Promise<LightMyRequestResponse>;
};

/** What both servers serve: models that answer what they get. */
export function echoServing() {
  const { clock, timer } = new FakeTime();
  const statistics = new ServingStatistics();
  const { metrics, loadOf } = meteredLoad(clock, recordedMetrics(statistics, noMetrics));
  const models = new ServedModels(MODELS, { clock, timer, metrics });
  const logged: PredictionEvent[] = [];
  const predictions = {
    append: (event: PredictionEvent) => void logged.push(event),
    close: () => Promise.resolve(),
  };
  const infer = makeInfer({
    ...{ models, clock, metrics, predictions, shadow: false },
    statusOf: (error) => wireStatusOf(error).http,
  });
  const logger = pino({ level: "silent" });
  const budget = new ByteBudget(10_000_000);
  const runtime = fakeRuntime(MODELS);
  const repository = new ModelRepository({ root: "", control: "explicit", runtime, models });
  const loadNow = () => loadOf(models);
  const serving = { models, repository, statistics, infer, clock, logger, budget, loadNow };
  return { ...serving, serverVersion: "1.2.3", logged };
}

/** The HTTP server, without a port. */
export function echoApp(over: Partial<BodyLimits> = {}): InferenceApp {
  const { logged, ...serving } = echoServing();
  const { models, budget } = serving;
  const limits = { maxBodyBytes: 8192, maxJsonBytes: 4096, requestTimeoutMs: 1000, ...over };
  const app = inferenceHttpApp({ ...serving, ...limits });
  const post: InferenceApp["post"] = async (model, body, headers = JSON_BODY) => {
    const isText = typeof body === "string" || Buffer.isBuffer(body);
    const payload = isText ? body : JSON.stringify(body);
    return app.inject({ method: "POST", url: `/v2/models/${model}/infer`, headers, payload });
  };
  return { app, models, logged, budget, post };
}
