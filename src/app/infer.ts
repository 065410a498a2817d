import { ServiceError } from "../core/error.js";
import { checkInputs } from "../core/serving/check-inputs.js";
import type { ModelSpec } from "../core/serving/model-spec.js";
import type { BatchAnswer } from "./batch-runner.js";
import type { ModelInput, ModelOutput, ServingMetrics } from "./model-ports.js";
import type { ServedModels, ServedVersion } from "./served-models.js";
import type { Clock, PredictionLog } from "./ports.js";
import { predictionEvent } from "./prediction-event.js";
import type { CallFacts } from "./prediction-event.js";

/** What the body of a request says, whatever wire it came over. */
export type InferRequest = {
  readonly input: ModelInput;
  /** Names of the outputs wanted; undefined: all. */
  readonly outputs?: readonly string[] | undefined;
  /** From now, as the request itself says. */
  readonly timeoutMs?: number | undefined;
  readonly priority: number;
};

/** Facts of the call that come beside the body. */
export type InferCall<Reply> = CallFacts & {
  /** Reads the body, knowing the model; what it throws is the answer. */
  read(spec: ModelSpec): InferRequest;
  /** Writes the answer in the form of the wire; what it throws is the answer instead. */
  write(spec: ModelSpec, outputs: ModelOutput): Reply;
};

export type Infer = <Reply>(call: InferCall<Reply>) => Promise<Reply>;

export type InferParts = {
  readonly models: ServedModels;
  readonly clock: Clock;
  readonly metrics: ServingMetrics;
  readonly predictions: PredictionLog | undefined;
  /** True: this whole process serves copies. */
  readonly shadow: boolean;
  /** The HTTP status an error is answered with, for the log and the metrics. */
  readonly statusOf: (error: unknown) => number;
};

/** Runs a request through the queue of its model; every call that names a model is recorded once. */
export function makeInfer(parts: InferParts): Infer {
  return async (call) => {
    const served = parts.models.find(call.model, call.version);
    try {
      const answer = await runQueued(parts, served, call);
      const outputs = selected(answer);
      const reply = call.write(served.spec, outputs);
      record(parts, served.spec, call, { status: 200, outputs, batch: answer });
      return reply;
    } catch (error) {
      const outcome = { status: parts.statusOf(error), outputs: new Map(), batch: undefined };
      record(parts, served.spec, call, outcome);
      throw error;
    }
  };
}

type Answered = BatchAnswer & { readonly wanted: readonly string[] | undefined };

async function runQueued(
  parts: InferParts,
  { spec, queue }: ServedVersion,
  call: InferCall<unknown>,
): Promise<Answered> {
  const request = call.read(spec);
  const { input, outputs: wanted, timeoutMs, priority } = request;
  if (input.kind === "tensors") checkOutputNames(spec, wanted);
  const shape =
    input.kind === "tensors" ? checkInputs(spec, input.tensors) : { items: 1, shapeKey: "raw" };
  const budgetMs = Math.min(timeoutMs ?? Infinity, call.meshTimeoutMs ?? Infinity);
  const deadlineAtMs = budgetMs === Infinity ? undefined : call.receivedAtMs + budgetMs;
  if (deadlineAtMs !== undefined && deadlineAtMs <= parts.clock.monotonicMs()) {
    const message = `deadline over: ${budgetMs} ms were left when the request arrived; it was not run`;
    throw new ServiceError("deadlineExceeded", message);
  }
  const { signal } = call;
  const queued = { ...shape, deadlineAtMs, priority, tenant: "", input, signal };
  return { ...(await queue.submit(queued)), wanted };
}

function checkOutputNames(spec: ModelSpec, wanted: readonly string[] | undefined): void {
  const known = spec.outputs.map((output) => output.name);
  const unknown = wanted?.find((name) => !known.includes(name));
  if (unknown !== undefined) throw unknownOutput(unknown, known);
}

function selected({ outputs, wanted }: Answered): ModelOutput {
  if (wanted === undefined) return outputs;
  return new Map(
    wanted.map((name) => {
      const tensor = outputs.get(name);
      if (tensor === undefined) throw unknownOutput(name, [...outputs.keys()]);
      return [name, tensor];
    }),
  );
}

function unknownOutput(name: string, known: readonly string[]): ServiceError {
  const quoted = JSON.stringify(name.slice(0, 128));
  return new ServiceError("badRequest", `unknown output ${quoted}: there is ${known.join(", ")}`);
}

type Outcome = {
  readonly status: number;
  readonly outputs: ModelOutput;
  readonly batch: BatchAnswer | undefined;
};

function record(parts: InferParts, spec: ModelSpec, call: CallFacts, outcome: Outcome): void {
  const durationMs = parts.clock.monotonicMs() - call.receivedAtMs;
  const { name: model, version } = spec;
  const { status } = outcome;
  parts.metrics.answered({ model, version, status, seconds: durationMs / 1000 });
  if (parts.predictions === undefined) return;
  const role = parts.shadow || call.shadow ? ("shadow" as const) : ("primary" as const);
  const at = new Date(parts.clock.nowMs()).toISOString();
  parts.predictions.append(predictionEvent(spec, { ...call, ...outcome, at, role, durationMs }));
}
