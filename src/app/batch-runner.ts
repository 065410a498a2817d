import type { DecideBatch, QueuedRequest } from "../core/batching/decide-batch.js";
import { ServiceError } from "../core/error.js";
import type {
  InstancePool,
  ModelInput,
  ModelOutput,
  ServingMetrics,
  Timer,
} from "./model-ports.js";
import type { Clock } from "./ports.js";

export type BatchRequest = Omit<QueuedRequest, "enqueuedAtMs" | "alone"> & {
  readonly input: ModelInput;
  /** Aborted when the caller is gone; takes the request out of the queue. */
  readonly signal?: AbortSignal | undefined;
};

export type BatchAnswer = {
  readonly outputs: ModelOutput;
  readonly queueMs: number;
  /** Items of the batch it ran in. */
  readonly batchSize: number;
};

export type BatchRunnerParts = {
  readonly version: { readonly model: string; readonly version: string };
  readonly decide: DecideBatch;
  readonly instances: InstancePool;
  readonly maxQueued: number;
  readonly clock: Clock;
  readonly timer: Timer;
  readonly metrics: ServingMetrics;
};

type Waiting = QueuedRequest & {
  alone: boolean;
  readonly input: ModelInput;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
  readonly resolve: (answer: BatchAnswer) => void;
  readonly reject: (error: ServiceError) => void;
};

/** When a caller that found no room may try again. */
const RETRY_AFTER_MS = 1000;

/**
 * The queue of one model version. Every request leaves it exactly once: dispatched, refused by
 * the decision, or taken back by its caller. A dispatched request is answered exactly once.
 * Times are monotonic milliseconds.
 */
export class BatchRunner {
  readonly #parts: BatchRunnerParts;
  #waiting: Waiting[] = [];
  #cancelTimer: () => void = () => undefined;
  #running = 0;
  #whenEmpty: (() => void)[] = [];

  constructor(parts: BatchRunnerParts) {
    this.#parts = parts;
    parts.instances.onChange(() => {
      this.#schedule();
    });
  }

  submit(request: BatchRequest): Promise<BatchAnswer> {
    return new Promise((resolve, reject) => {
      const { instances, clock } = this.#parts;
      if (request.signal?.aborted === true) throw cancelled();
      if (instances.state() === "down") throw this.#notReady();
      this.#checkRoom(request);
      const enqueuedAtMs = clock.monotonicMs();
      const onAbort = () => {
        if (this.#take([waiting]).length > 0) reject(cancelled());
      };
      const { signal } = request;
      const waiting: Waiting = {
        ...request,
        alone: false,
        signal,
        enqueuedAtMs,
        onAbort,
        resolve,
        reject,
      };
      this.#enter(waiting);
      this.#schedule();
    });
  }

  /** Resolves when nothing waits and nothing runs. */
  async idle(): Promise<void> {
    if (this.#waiting.length === 0 && this.#running === 0) return;
    await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
  }

  #checkRoom(request: BatchRequest): void {
    const { maxQueued, version } = this.#parts;
    const queued = itemsOf(this.#waiting);
    if (this.#waiting.length === 0 || queued + request.items <= maxQueued) return;
    throw new ServiceError(
      "overloaded",
      `queue of ${nameOf(version)} is full: ${queued} items wait, the limit is ${maxQueued} (maxQueued)`,
      { retryAfterMs: RETRY_AFTER_MS },
    );
  }

  /** Asks for decisions until there is nothing more to do now. */
  #schedule(): void {
    this.#cancelTimer();
    this.#cancelTimer = () => undefined;
    const { instances, clock, timer, decide } = this.#parts;
    if (instances.state() === "down") this.#refuseAll();
    for (;;) {
      const nowMs = clock.monotonicMs();
      const view = { waiting: this.#waiting, idleInstances: instances.idle() };
      const { refuse, next } = decide(view, nowMs);
      for (const { request, code } of refuse) this.#refuse(request, code, nowMs);
      if (next.kind === "run") {
        this.#dispatch(this.#take(next.requests));
        continue;
      }
      if (next.kind === "wait") {
        this.#cancelTimer();
        this.#cancelTimer = timer(Math.max(0, Math.ceil(next.untilMs - nowMs)), () => {
          this.#schedule();
        });
      }
      break;
    }
    this.#tellIfEmpty();
  }

  #dispatch(batch: readonly Waiting[]): void {
    const { clock, metrics, version } = this.#parts;
    const startedAtMs = clock.monotonicMs();
    for (const { enqueuedAtMs } of batch) {
      metrics.waited(version, (startedAtMs - enqueuedAtMs) / 1000);
    }
    this.#running += 1;
    void this.#runBatch(batch, startedAtMs).finally(() => {
      this.#running -= 1;
      this.#schedule();
    });
  }

  /** Never rejects: what goes wrong is the answer of the requests it concerns. */
  async #runBatch(batch: readonly Waiting[], startedAtMs: number): Promise<void> {
    const batchSize = itemsOf(batch);
    try {
      const outputs = await this.#run(batch);
      batch.forEach((waiting, index) => {
        const output = outputs[index];
        if (output === undefined) throw new Error("the instance answered too few requests");
        const queueMs = startedAtMs - waiting.enqueuedAtMs;
        waiting.resolve({ outputs: output, queueMs, batchSize });
      });
    } catch (thrown) {
      const error = ServiceError.from(thrown);
      if (batch.length === 1 || error.code === "dependencyDown") {
        for (const { reject } of batch) reject(error);
        return;
      }
      this.#separate(batch);
    }
  }

  /**
   * One poison request fails its whole batch; alone, each gets what it deserves. They go back to
   * the head of the queue, where their deadlines and callers still count.
   */
  #separate(batch: readonly Waiting[]): void {
    const later = this.#waiting;
    this.#waiting = [];
    for (const waiting of batch) {
      waiting.alone = true;
      if (waiting.signal?.aborted === true) waiting.reject(cancelled());
      else this.#enter(waiting);
    }
    this.#waiting = [...this.#waiting, ...later];
  }

  async #run(batch: readonly Waiting[]): Promise<readonly ModelOutput[]> {
    const { clock, metrics, version, instances } = this.#parts;
    const startedAtMs = clock.monotonicMs();
    try {
      return await instances.run(batch.map(({ input }) => input));
    } finally {
      metrics.ran(version, itemsOf(batch), (clock.monotonicMs() - startedAtMs) / 1000);
    }
  }

  #enter(waiting: Waiting): void {
    this.#waiting.push(waiting);
    waiting.signal?.addEventListener("abort", waiting.onAbort);
    this.#parts.metrics.queued(this.#parts.version, itemsOf(this.#waiting));
  }

  /** Removes those that still wait, and returns them. */
  #take(requests: readonly QueuedRequest[]): readonly Waiting[] {
    const wanted = new Set<QueuedRequest>(requests);
    const taken = this.#waiting.filter((waiting) => wanted.has(waiting));
    this.#waiting = this.#waiting.filter((waiting) => !wanted.has(waiting));
    for (const { signal, onAbort } of taken) signal?.removeEventListener("abort", onAbort);
    this.#parts.metrics.queued(this.#parts.version, itemsOf(this.#waiting));
    return taken;
  }

  #refuse(request: Waiting, code: "deadlineExceeded" | "overloaded", nowMs: number): void {
    const waited = Math.round(nowMs - request.enqueuedAtMs);
    const message =
      code === "deadlineExceeded"
        ? `deadline over after ${waited} ms in the queue; it was not run`
        : `refused after ${waited} ms in the queue: it cannot be served here in time`;
    const options = code === "overloaded" ? { retryAfterMs: RETRY_AFTER_MS } : {};
    for (const { reject } of this.#take([request])) {
      reject(new ServiceError(code, message, options));
    }
  }

  #refuseAll(): void {
    for (const { reject } of this.#take(this.#waiting)) reject(this.#notReady());
  }

  #notReady(): ServiceError {
    const message = `${nameOf(this.#parts.version)} is not ready: its instances cannot be started`;
    return new ServiceError("notReady", message, { retryAfterMs: RETRY_AFTER_MS });
  }

  #tellIfEmpty(): void {
    if (this.#waiting.length > 0 || this.#running > 0) return;
    for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }
}

const cancelled = () => new ServiceError("cancelled", "the caller closed the request");
const nameOf = (of: { readonly model: string; readonly version: string }) =>
  `model ${of.model}/${of.version}`;
const itemsOf = (requests: readonly QueuedRequest[]) =>
  requests.reduce((sum, { items }) => sum + items, 0);
