import { ServiceError } from "../core/error.js";
import { invariant } from "../core/invariant.js";
import { ownTensor } from "../core/serving/own-tensor.js";
import { zeroState } from "../core/serving/sequence.js";
import type { SequenceSpec, SequenceStep } from "../core/serving/sequence.js";
import type { Tensor } from "../core/serving/tensor.js";
import type { BatchAnswer, BatchRequest } from "./batch-runner.js";
import type { ModelInput, ModelOutput } from "./model-ports.js";
import type { Clock } from "./ports.js";
import type { Submit } from "./submit.js";

type States = ReadonlyMap<string, Tensor>;

type Sequence = {
  /** By input of the model; undefined: it has not begun, or is at its end. */
  states: States | undefined;
  /** Settled when the last step that came has its answer. */
  last: Promise<unknown>;
  /** Steps without an answer. */
  pending: number;
  /** Steps that failed. */
  failures: number;
  usedAtMs: number;
};

/**
 * Runs the requests of each sequence one after the other, in the order they came, and keeps the
 * model's state between them. A step that fails leaves the state as it was, and takes those that
 * already wait behind it with it: none of them may run as if it had not been.
 */
export class SequencedQueue {
  readonly #spec: SequenceSpec;
  readonly #clock: Clock;
  readonly #submitStep: Submit;
  /** The longest unused first. */
  readonly #sequences = new Map<string, Sequence>();

  constructor(spec: SequenceSpec, clock: Clock, submitStep: Submit) {
    this.#spec = spec;
    this.#clock = clock;
    this.#submitStep = submitStep;
  }

  async submit(request: BatchRequest): Promise<BatchAnswer> {
    const { sequence: step, tenant } = request;
    invariant(step !== undefined, "requests of a model with state are steps of a sequence");
    // Tenants who choose the same id share no state.
    const key = JSON.stringify([tenant, step.id]);
    const sequence = this.#find(key, step);
    sequence.pending += 1;
    const { failures } = sequence;
    const arrivedAtMs = this.#clock.monotonicMs();
    const answer = sequence.last.then(async () => {
      if (sequence.failures > failures && !step.start) throw stepBeforeFailed(step.id);
      const waitedMs = this.#clock.monotonicMs() - arrivedAtMs;
      const answered = await this.#run(sequence, step, request);
      return { ...answered, queueMs: answered.queueMs + waitedMs };
    });
    sequence.last = answer.then(
      () => {
        this.#ended(key, sequence);
      },
      () => {
        sequence.failures += 1;
        this.#ended(key, sequence);
      },
    );
    return answer;
  }

  /** Resolves when no step waits and none runs. */
  async idle(): Promise<void> {
    const busy = () => [...this.#sequences.values()].filter(({ pending }) => pending > 0);
    for (let found = busy(); found.length > 0; found = busy()) {
      await Promise.all(found.map(({ last }) => last));
    }
  }

  explain() {
    return { open: this.#sequences.size };
  }

  async #run(sequence: Sequence, step: SequenceStep, request: BatchRequest): Promise<BatchAnswer> {
    const { states: specs } = this.#spec;
    const states = step.start
      ? new Map(specs.map((spec) => [spec.input, zeroState(spec)]))
      : sequence.states;
    if (states === undefined) throw unknownSequence(step.id, this.#spec);
    const shapes = [...states.values()].map(({ shape }) => shape.join("x"));
    const answer = await this.#submitStep({
      ...request,
      shapeKey: [request.shapeKey, ...shapes].join(";"),
      input: withStates(request.input, states),
    });
    sequence.states = step.end ? undefined : nextStates(this.#spec, answer.outputs);
    const outputs = new Map(answer.outputs);
    for (const { output } of specs) outputs.delete(output);
    return { ...answer, outputs };
  }

  #find(key: string, step: SequenceStep): Sequence {
    const nowMs = this.#clock.monotonicMs();
    this.#forgetIdle(nowMs);
    const known = this.#sequences.get(key);
    if (known !== undefined) return this.#touched(key, known, nowMs);
    if (!step.start) throw unknownSequence(step.id, this.#spec);
    const { maxSequences } = this.#spec;
    if (this.#sequences.size >= maxSequences) {
      const message = `${maxSequences} sequences are open, and no more may be (maxSequences): end those that are over, or try elsewhere`;
      throw new ServiceError("overloaded", message, { retryAfterMs: 1000 });
    }
    const last = Promise.resolve();
    const begun = { states: undefined, last, pending: 0, failures: 0, usedAtMs: nowMs };
    return this.#touched(key, begun, nowMs);
  }

  #touched(key: string, sequence: Sequence, nowMs: number): Sequence {
    sequence.usedAtMs = nowMs;
    this.#sequences.delete(key);
    this.#sequences.set(key, sequence);
    return sequence;
  }

  #ended(key: string, sequence: Sequence): void {
    sequence.pending -= 1;
    if (sequence.pending > 0) return;
    if (sequence.states === undefined) this.#sequences.delete(key);
    else this.#touched(key, sequence, this.#clock.monotonicMs());
  }

  #forgetIdle(nowMs: number): void {
    for (const [key, { usedAtMs, pending }] of this.#sequences) {
      if (nowMs - usedAtMs < this.#spec.maxIdleMs) return;
      if (pending === 0) this.#sequences.delete(key);
    }
  }
}

/** Copies: what is handed to the instance is gone here, and a step that fails needs it again. */
function withStates(input: ModelInput, states: States): ModelInput {
  invariant(input.kind === "tensors", "a model with state has no pipeline");
  const copies = [...states].map(([name, tensor]): [string, Tensor] => [
    name,
    { ...tensor, data: tensor.data.slice() },
  ]);
  return { kind: "tensors", tensors: new Map([...input.tensors, ...copies]) };
}

function nextStates({ states }: SequenceSpec, outputs: ModelOutput): States {
  return new Map(
    states.map(({ input, output }) => {
      const tensor = outputs.get(output);
      invariant(tensor !== undefined, "the model was found to have the outputs of its states");
      return [input, ownTensor(tensor)];
    }),
  );
}

function unknownSequence(id: string, { maxIdleMs }: SequenceSpec): ServiceError {
  const message = `sequence ${quote(id)} is not open here: it was not started, has ended, was left for over ${maxIdleMs} ms (maxIdleMs), or is that of another pod; begin it with sequence_start`;
  return new ServiceError("badRequest", message);
}

function stepBeforeFailed(id: string): ServiceError {
  const message = `a step of sequence ${quote(id)} before this one failed, so this one was not run: send both again, in order`;
  return new ServiceError("conflict", message);
}

const quote = (id: string) => JSON.stringify(id);
