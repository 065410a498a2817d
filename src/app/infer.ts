import { ServiceError } from "../core/error.js";
import { checkInputs, hasEmptyInput } from "../core/serving/check-inputs.js";
import { checkClassifiable, classify } from "../core/serving/classification.js";
import type { BatchShape } from "../core/serving/check-inputs.js";
import type { ModelSpec } from "../core/serving/model-spec.js";
import { checkStep } from "../core/serving/sequence.js";
import type { SequenceStep } from "../core/serving/sequence.js";
import type { BatchAnswer } from "./batch-runner.js";
import type { CallFacts } from "./call-facts.js";
import type { ModelInput, ModelOutput, ServingMetrics, Stages } from "./model-ports.js";
import type { ServedModels, ServedVersion } from "./served-models.js";
import type { Clock, PredictionLog } from "./ports.js";
import { predictionEvent } from "./prediction-event.js";

export type RequestedOutput = {
  readonly name: string;
  /** Over 0: its classification, so many classes of each item, and not the tensor. */
  readonly classes: number;
};

/** What the body of a request says, whatever wire it came over. */
export type InferRequest = {
  readonly input: ModelInput;
  /** Outputs wanted, in this order; undefined: all, as they are. */
  readonly outputs?: readonly RequestedOutput[] | undefined;
  /** From now, as the request itself says. */
  readonly timeoutMs?: number | undefined;
  readonly priority: number;
  /** Counts where the mesh names none. */
  readonly tenant?: string | undefined;
  readonly sequence?: SequenceStep | undefined;
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
    const startedAtMs = parts.clock.monotonicMs();
    let items = 1;
    try {
      const request = call.read(served.spec);
      const shape = checked(served.spec, request);
      items = shape.items;
      const submittedAtMs = parts.clock.monotonicMs();
      const batch = await runQueued(parts, served, call, request, shape);
      const answeredAtMs = parts.clock.monotonicMs();
      const outputs = selected(served.spec, batch.outputs, request.outputs);
      const reply = call.write(served.spec, outputs);
      const stages = {
        inputSeconds: (submittedAtMs - startedAtMs) / 1000,
        queueSeconds: batch.queueMs / 1000,
        inferSeconds: Math.max(0, answeredAtMs - submittedAtMs - batch.queueMs) / 1000,
        outputSeconds: (parts.clock.monotonicMs() - answeredAtMs) / 1000,
        cache: served.loaded.cacheBytes === undefined ? "none" : cacheResult(batch),
      };
      record(parts, served.spec, call, { status: 200, items, outputs, batch, stages });
      return reply;
    } catch (error) {
      const status = parts.statusOf(error);
      record(parts, served.spec, call, { status, items, outputs: new Map(), batch: undefined });
      throw error;
    }
  };
}

const cacheResult = ({ batchSize }: BatchAnswer): Stages["cache"] =>
  batchSize === 0 ? "hit" : "miss";

/** Refuses what is wrong before it is queued. */
function checked(spec: ModelSpec, { input, outputs, sequence }: InferRequest): BatchShape {
  // What a pipeline takes and gives is for the pipeline to say.
  if (input.kind === "raw") return { items: 1, shapeKey: "raw", length: 1 };
  for (const { name, classes } of outputs ?? []) {
    const found = spec.outputs.find((output) => output.name === name);
    if (found === undefined) {
      throw unknownOutput(
        name,
        spec.outputs.map((output) => output.name),
      );
    }
    if (classes > 0) checkClassifiable(name, found.datatype);
  }
  const shape = checkInputs(spec, input.tensors);
  checkStep(spec, sequence, shape.items);
  return shape;
}

async function runQueued(
  parts: InferParts,
  { queue, loaded }: ServedVersion,
  call: InferCall<unknown>,
  request: InferRequest,
  shape: BatchShape,
): Promise<BatchAnswer> {
  const { input, timeoutMs = Infinity, priority, sequence } = request;
  const budgetMs = Math.min(timeoutMs, call.timeoutMs ?? Infinity, loaded.sloMs ?? Infinity);
  const deadlineAtMs = call.receivedAtMs + budgetMs;
  if (deadlineAtMs <= parts.clock.monotonicMs()) {
    const message = `deadline over: ${budgetMs} ms were left when the request arrived; it was not run`;
    throw new ServiceError("deadlineExceeded", message);
  }
  const isEmpty = input.kind === "tensors" && hasEmptyInput(input.tensors);
  try {
    // Written out: a spread costs more than all else here.
    return await queue.submit({
      input,
      items: shape.items,
      shapeKey: shape.shapeKey,
      length: shape.length,
      deadlineAtMs,
      priority,
      tenant: call.mesh.tenant ?? request.tenant ?? "",
      sequence,
      isRetry: call.mesh.attempt > 1,
      signal: call.signal,
    });
  } catch (error) {
    // The declared shape allows a size of 0, the model's own arithmetic does not.
    if (!isEmpty || !(error instanceof ServiceError) || error.code !== "internal") throw error;
    const message = `an input has no elements, and the model cannot run without: ${error.message}`;
    throw new ServiceError("badRequest", message, { cause: error });
  }
}

function selected(
  spec: ModelSpec,
  outputs: ModelOutput,
  wanted: readonly RequestedOutput[] | undefined,
): ModelOutput {
  if (wanted === undefined) return outputs;
  return new Map(
    wanted.map(({ name, classes }) => {
      const tensor = outputs.get(name);
      if (tensor === undefined) throw unknownOutput(name, [...outputs.keys()]);
      return [name, classes > 0 ? classify(spec, tensor, classes) : tensor];
    }),
  );
}

function unknownOutput(name: string, known: readonly string[]): ServiceError {
  const quoted = JSON.stringify(name.slice(0, 128));
  return new ServiceError("badRequest", `unknown output ${quoted}: there is ${known.join(", ")}`);
}

type Outcome = {
  readonly status: number;
  readonly items: number;
  readonly outputs: ModelOutput;
  readonly batch: BatchAnswer | undefined;
  readonly stages?: Stages;
};

function record(parts: InferParts, spec: ModelSpec, call: CallFacts, outcome: Outcome): void {
  const durationMs = parts.clock.monotonicMs() - call.receivedAtMs;
  const { name: model, version } = spec;
  const { status, items, outputs, batch, stages } = outcome;
  const atMs = parts.clock.nowMs();
  const seconds = durationMs / 1000;
  parts.metrics.answered({ model, version, status, seconds, items, atMs, stages });
  if (parts.predictions === undefined) return;
  const role = parts.shadow || call.mesh.shadow ? ("shadow" as const) : ("primary" as const);
  const at = new Date(atMs).toISOString();
  parts.predictions.append(
    predictionEvent(spec, { mesh: call.mesh, at, role, status, outputs, batch, durationMs }),
  );
}
