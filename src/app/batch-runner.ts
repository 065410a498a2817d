import type { Batcher, QueuedRequest, Refusal, Run } from "../core/batching/request.js";
import { RetryBudget } from "../core/batching/retry-budget.js";
import { ServiceError } from "../core/error.js";
import type { SequenceStep } from "../core/serving/sequence.js";
import type { CallerSignal } from "./call-facts.js";
import type {
  InstancePool,
  ModelInput,
  ModelOutput,
  ServingMetrics,
  Timer,
} from "./model-ports.js";
import type { Clock } from "./ports.js";
import { refusalError, RETRY_AFTER_MS } from "./refusal-error.js";

export type BatchRequest = {
  readonly input: ModelInput;
  readonly items: number;
  readonly shapeKey: string;
  /** Elements of one item along the axes that may be padded; 1 where none may. */
  readonly length: number;
  /** Monotonic; Infinity: none. */
  readonly deadlineAtMs: number;
  /** 1 comes before 2, which is usual; 0 is unset. */
  readonly priority: number;
  readonly tenant: string;
  /** Where the model keeps state. */
  readonly sequence?: SequenceStep | undefined;
  /** The mesh tried it before. */
  readonly isRetry: boolean;
  /** Aborted when the caller is gone; takes the request out of the queue. */
  readonly signal?: CallerSignal | undefined;
};

export type BatchAnswer = {
  readonly outputs: ModelOutput;
  readonly queueMs: number;
  /** Items of the batch it ran in; 0: it was answered before, and did not run. */
  readonly batchSize: number;
};

/** A request in the queue of a runner. */
export type Waiting = QueuedRequest & {
  readonly input: ModelInput;
  readonly isRetry: boolean;
  readonly signal: CallerSignal | undefined;
} & Answering;

type Answering = {
  readonly onAbort: () => void;
  readonly resolve: (answer: BatchAnswer) => void;
  readonly reject: (error: ServiceError) => void;
};

export type BatchRunnerParts = {
  readonly version: { readonly model: string; readonly version: string };
  readonly batcher: Batcher<Waiting>;
  readonly instances: InstancePool;
  /** As the batcher has it, for what callers are told. */
  readonly maxQueued: number;
  readonly clock: Clock;
  readonly timer: Timer;
  readonly metrics: ServingMetrics;
};

/**
 * The timers and promises around the batcher of one model version. Every request leaves the queue
 * exactly once: run, refused by the batcher, or taken back by its caller; and is answered exactly
 * once. Times are monotonic milliseconds.
 *
 * Arrivals are decided on at the end of the turn of the event loop in which they came: what came
 * together can run together, and costs one decision and one message to the instance.
 */
export class BatchRunner {
  readonly #parts: BatchRunnerParts;
  readonly #retries = new RetryBudget();
  /** Halves of batches that failed, which run before anything else. */
  #halves: (readonly Waiting[])[] = [];
  #wakeAtMs = Infinity;
  #cancelTimer: () => void = () => undefined;
  #pending = 0;
  #whenEmpty: (() => void)[] = [];

  constructor(parts: BatchRunnerParts) {
    this.#parts = parts;
    parts.instances.onChange(() => {
      this.#decide();
    });
  }

  /** Rejects with a `ServiceError` when it is refused, its batch fails or its caller is gone. */
  submit(request: BatchRequest): Promise<BatchAnswer> {
    return new Promise((resolve, reject) => {
      const { instances, clock, batcher } = this.#parts;
      const { signal, isRetry } = request;
      if (signal?.aborted === true) throw cancelled();
      if (instances.state() === "down") throw this.#notReady();
      if (isRetry && !this.#retries.admits()) throw this.#tooManyRetries();
      // Nobody finds a queue full because its turn has not ended while an instance is idle.
      const isFull = batcher.waitingItems + request.items > this.#parts.maxQueued;
      if (isFull && instances.idle() > 0) this.#decide();
      const nowMs = clock.monotonicMs();
      const onAbort = () => {
        // What runs or is to be run again has its answer on the way.
        if (batcher.leave(waiting)) this.#reject(waiting, cancelled());
      };
      const waiting = waitingOf(request, nowMs, { onAbort, resolve, reject });
      this.#pending += 1;
      this.#retries.began(isRetry);
      signal?.addEventListener("abort", waiting.onAbort);
      for (const refusal of batcher.enter(waiting, instances.idle(), nowMs)) {
        this.#refuse(refusal, nowMs);
      }
      this.#wakeAt(nowMs, nowMs);
    });
  }

  /** Resolves when nothing waits and nothing runs. */
  async idle(): Promise<void> {
    if (this.#pending === 0) return;
    await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
  }

  /** Asks for decisions until there is nothing more to do now. */
  #decide(): void {
    const { instances, clock, batcher, metrics, version } = this.#parts;
    if (instances.state() === "down") this.#rejectAll();
    for (;;) {
      const nowMs = clock.monotonicMs();
      const idle = instances.idle();
      const half = idle > 0 ? this.#halves.shift() : undefined;
      if (half !== undefined) {
        this.#runHalf(half, nowMs);
        continue;
      }
      const { refuse, next } = batcher.next(idle, nowMs);
      for (const refusal of refuse) this.#refuse(refusal, nowMs);
      if (next.kind === "run") {
        void this.#run(next.run);
        continue;
      }
      this.#wakeAt(next.untilMs, nowMs);
      break;
    }
    metrics.queued(version, batcher.waitingItems);
  }

  /** One timer, for the earliest of what was asked for; one too many does no harm. */
  #wakeAt(atMs: number, nowMs: number): void {
    if (atMs >= this.#wakeAtMs) return;
    this.#cancelTimer();
    this.#wakeAtMs = atMs;
    const delayMs = Math.min(atMs - nowMs, MAX_SLEEP_MS);
    this.#cancelTimer = this.#parts.timer(delayMs < 1 ? 0 : Math.ceil(delayMs), () => {
      this.#wakeAtMs = Infinity;
      this.#decide();
    });
  }

  /** Never rejects: what goes wrong is the answer of the requests it concerns. */
  async #run(run: Run<Waiting>): Promise<void> {
    const { clock, metrics, version, batcher } = this.#parts;
    const { requests, items: batchSize, startedAtMs } = run;
    for (const { enqueuedAtMs } of requests) {
      metrics.waited(version, (startedAtMs - enqueuedAtMs) / 1000);
    }
    const outcome = await this.#outcomeOf(requests);
    const nowMs = clock.monotonicMs();
    batcher.ended(run, nowMs);
    metrics.ran(version, batchSize, (nowMs - startedAtMs) / 1000);
    if (outcome instanceof ServiceError) this.#failed(requests, outcome);
    else {
      requests.forEach((waiting, index) => {
        const outputs = outcome[index] ?? NO_OUTPUTS;
        this.#leave(waiting);
        waiting.resolve({ outputs, queueMs: startedAtMs - waiting.enqueuedAtMs, batchSize });
      });
    }
    this.#decide();
  }

  async #outcomeOf(requests: readonly Waiting[]): Promise<readonly ModelOutput[] | ServiceError> {
    try {
      const outputs = await this.#parts.instances.run(requests.map(({ input }) => input));
      if (outputs.length < requests.length) throw new Error("the instance answered too few");
      return outputs;
    } catch (thrown) {
      return ServiceError.from(thrown);
    }
  }

  /**
   * One poison request fails its whole batch, so each half is run by itself until it is found. They
   * wait at the head of the queue, where their deadlines and callers still count. What was lost with
   * its instance is not run again: it may be what ended it.
   */
  #failed(requests: readonly Waiting[], error: ServiceError): void {
    if (requests.length === 1 || error.code === "dependencyDown") {
      for (const waiting of requests) this.#reject(waiting, error);
      return;
    }
    const middle = Math.ceil(requests.length / 2);
    this.#halves.push(requests.slice(0, middle), requests.slice(middle));
  }

  #runHalf(half: readonly Waiting[], nowMs: number): void {
    const alive = half.filter((waiting) => {
      const { signal, deadlineAtMs } = waiting;
      if (signal?.aborted === true) this.#reject(waiting, cancelled());
      else if (deadlineAtMs > nowMs) return true;
      else {
        const leftMs = deadlineAtMs - nowMs;
        this.#refuse({ request: waiting, reason: "expired", predictedMs: 0, leftMs }, nowMs);
      }
      return false;
    });
    if (alive.length > 0) void this.#run(this.#parts.batcher.rerun(alive, nowMs));
  }

  #refuse(refusal: Refusal<Waiting>, nowMs: number): void {
    const { version, maxQueued, batcher } = this.#parts;
    const waitedMs = nowMs - refusal.request.enqueuedAtMs;
    const facts = { model: nameOf(version), maxQueued, waitingItems: batcher.waitingItems };
    this.#reject(refusal.request, refusalError(refusal, { ...facts, waitedMs }));
  }

  #reject(waiting: Waiting, error: ServiceError): void {
    this.#leave(waiting);
    waiting.reject(error);
  }

  /** What is to be done once for each request, when its answer is known. */
  #leave({ signal, onAbort, isRetry }: Waiting): void {
    signal?.removeEventListener("abort", onAbort);
    this.#retries.ended(isRetry);
    this.#pending -= 1;
    if (this.#pending > 0) return;
    for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  #rejectAll(): void {
    const waiting = [...this.#halves.splice(0).flat(), ...this.#parts.batcher.clear()];
    for (const each of waiting) this.#reject(each, this.#notReady());
  }

  #notReady(): ServiceError {
    const message = `${nameOf(this.#parts.version)} is not ready: its instances cannot be started`;
    return new ServiceError("notReady", message, { retryAfterMs: RETRY_AFTER_MS });
  }

  #tooManyRetries(): ServiceError {
    const message = `${nameOf(this.#parts.version)} has ${this.#retries.retries} retries under way, and no more than a fifth of its requests may be retries`;
    return new ServiceError("overloaded", message, { retryAfterMs: RETRY_AFTER_MS });
  }
}

/** Written out, key by key: there is one for each request, and a spread is slow. */
function waitingOf(request: BatchRequest, enqueuedAtMs: number, answering: Answering): Waiting {
  const { input, items, shapeKey, length, deadlineAtMs, priority, tenant } = request;
  const { isRetry, signal } = request;
  const { onAbort, resolve, reject } = answering;
  return {
    input,
    items,
    shapeKey,
    length,
    deadlineAtMs,
    priority,
    tenant,
    isRetry,
    signal,
    enqueuedAtMs,
    onAbort,
    resolve,
    reject,
    rankMs: 0,
    workMs: 0,
    predictedMs: 0,
    isTaken: false,
  };
}

/** setTimeout takes 31 bits. */
const MAX_SLEEP_MS = 60_000;
const NO_OUTPUTS: ModelOutput = new Map();

const cancelled = () => new ServiceError("cancelled", "the caller closed the request");
const nameOf = (of: { readonly model: string; readonly version: string }) =>
  `model ${of.model}/${of.version}`;
