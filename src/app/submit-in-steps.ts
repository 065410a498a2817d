import { invariant } from "../core/invariant.js";
import { checkInputs } from "../core/serving/check-inputs.js";
import type { ModelSpec } from "../core/serving/model-spec.js";
import { ownTensor } from "../core/serving/own-tensor.js";
import type { Tensor } from "../core/serving/tensor.js";
import type { EnsembleStep } from "../schema/model-manifest.js";
import type { BatchAnswer, BatchRequest } from "./batch-runner.js";
import type { Submit } from "./submit.js";
import { withTakeBack } from "./take-back.js";

export type Ensemble = {
  readonly outputs: ModelSpec["outputs"];
  /** In an order in which they can run. */
  readonly steps: readonly EnsembleStep[];
};

/** Where a step goes now. */
export type FindStep = (step: EnsembleStep) => {
  readonly spec: ModelSpec;
  readonly queue: { readonly submit: Submit };
};

/** A tensor of one request, and how long the request had waited in queues until it was there. */
type Made = { readonly tensor: Tensor; readonly queueMs: number };
type Tensors = Map<string, Promise<Made>>;

/**
 * Runs a request through the steps of an ensemble: each as soon as its tensors are there, in the
 * queue of its model, where it shares batches with everybody else. All have the one deadline of the
 * request. A tensor goes on without a copy, unless more than one takes it.
 */
export function submitInSteps({ outputs, steps }: Ensemble, find: FindStep): Submit {
  const takers = countTakers(outputs, steps);
  const handOver = (name: string, tensor: Tensor): Tensor =>
    takers.get(name) === 1 ? ownTensor(tensor) : { ...tensor, data: tensor.data.slice() };

  const runStep = async (
    step: EnsembleStep,
    tensors: Tensors,
    request: BatchRequest,
  ): Promise<BatchAnswer> => {
    const inputs = new Map<string, Tensor>();
    let waitedMs = 0;
    for (const [input, name] of Object.entries(step.inputs)) {
      const { tensor, queueMs } = await tensorOf(tensors, name);
      inputs.set(input, handOver(name, tensor));
      waitedMs = Math.max(waitedMs, queueMs);
    }
    const { spec, queue } = find(step);
    const shape = checkInputs(spec, inputs);
    const input = { kind: "tensors", tensors: inputs } as const;
    const answer = await queue.submit({ ...request, ...shape, input });
    return { ...answer, queueMs: answer.queueMs + waitedMs };
  };

  return ({ input, signal, ...request }) =>
    withTakeBack(signal, async (partSignal) => {
      invariant(input.kind === "tensors", "an ensemble has no pipeline");
      const tensors: Tensors = new Map();
      for (const [name, tensor] of input.tensors) {
        tensors.set(name, Promise.resolve({ tensor, queueMs: 0 }));
      }
      const answers = steps.map((step) => {
        const answer = runStep(step, tensors, { ...request, input, signal: partSignal });
        addOutputs(tensors, step, answer);
        return answer;
      });
      const all = await Promise.all(answers);
      const named = outputs.map(async ({ name }) => {
        return [name, (await tensorOf(tensors, name)).tensor] as const;
      });
      return {
        outputs: new Map(await Promise.all(named)),
        queueMs: Math.max(...all.map(({ queueMs }) => queueMs)),
        batchSize: Math.max(...all.map(({ batchSize }) => batchSize)),
      };
    });
}

function addOutputs(tensors: Tensors, { outputs }: EnsembleStep, answer: Promise<BatchAnswer>) {
  for (const [output, name] of Object.entries(outputs)) {
    const made = answer.then((answered) => {
      const tensor = answered.outputs.get(output);
      invariant(tensor !== undefined, "the model was found to have the outputs of its step");
      return { tensor, queueMs: answered.queueMs };
    });
    // A failure is that of the step's answer; nobody need take this tensor.
    made.catch(() => undefined);
    tensors.set(name, made);
  }
}

function tensorOf(tensors: Tensors, name: string): Promise<Made> {
  const made = tensors.get(name);
  invariant(made !== undefined, "steps are in order, and each tensor has its origin");
  return made;
}

/** How many steps take each tensor, the caller of the ensemble counted as one. */
function countTakers(outputs: Ensemble["outputs"], steps: readonly EnsembleStep[]) {
  const taken = steps.flatMap(({ inputs }) => Object.values(inputs));
  const takers = new Map<string, number>();
  for (const name of [...taken, ...outputs.map((output) => output.name)]) {
    takers.set(name, (takers.get(name) ?? 0) + 1);
  }
  return takers;
}
