import { ServiceError } from "../core/error.js";
import { stack } from "../core/serving/stack.js";
import type { Tensor } from "../core/serving/tensor.js";
import type { BatchAnswer, BatchRequest } from "./batch-runner.js";
import type { CallerSignal } from "./call-facts.js";
import type { ModelInput, ModelOutput } from "./model-ports.js";
import type { Submit } from "./submit.js";
import { withTakeBack } from "./take-back.js";

type Limits = { readonly maxBatchSize: number; readonly maxQueued: number };

/**
 * A request with more items than a batch is run as several, and their answers are joined. It is
 * answered whole or not at all.
 */
export function submitInParts(submit: Submit, { maxBatchSize, maxQueued }: Limits): Submit {
  return async (request) => {
    if (request.items <= maxBatchSize) return submit(request);
    if (request.items > maxQueued) {
      const message = `the request has ${request.items} items, and no more than ${maxQueued} may wait (maxQueued): send several requests`;
      throw new ServiceError("badRequest", message);
    }
    return withTakeBack(request.signal, async (signal) => {
      const parts = partsOf(request, maxBatchSize, signal);
      return joined(await Promise.all(parts.map((part) => submit(part))));
    });
  };
}

function partsOf(
  request: BatchRequest,
  maxBatchSize: number,
  signal: CallerSignal,
): readonly BatchRequest[] {
  const parts: BatchRequest[] = [];
  for (let from = 0; from < request.items; from += maxBatchSize) {
    const to = Math.min(request.items, from + maxBatchSize);
    parts.push({ ...request, items: to - from, input: rows(request.input, from, to), signal });
  }
  return parts;
}

/** Copies, not views: the memory of a part is handed to the instance that runs it. */
function rows(input: ModelInput, from: number, to: number): ModelInput {
  if (input.kind === "raw") return input;
  const tensors = [...input.tensors].map(([name, tensor]): [string, Tensor] => {
    const [size = 1, ...rest] = tensor.shape;
    const row = tensor.data.length / size;
    const data = tensor.data.slice(from * row, to * row);
    return [name, { ...tensor, shape: [to - from, ...rest], data }];
  });
  return { kind: "tensors", tensors: new Map(tensors) };
}

function joined(answers: readonly BatchAnswer[]): BatchAnswer {
  const names = [...(answers[0]?.outputs.keys() ?? [])];
  const outputs: ModelOutput = new Map(
    names.map((name) => {
      const parts = answers.flatMap((answer) => answer.outputs.get(name) ?? []);
      return [name, stack(parts)];
    }),
  );
  return {
    outputs,
    queueMs: Math.max(...answers.map(({ queueMs }) => queueMs)),
    batchSize: Math.max(...answers.map(({ batchSize }) => batchSize)),
  };
}
