import type { Decision } from "../../core/batching/request.js";
import { Fifo } from "./fifo.js";
import type { Request } from "./fifo.js";

export type StaticLimits = { readonly size: number; readonly delayMs: number };

/**
 * Ray Serve, LitServe and the KServe agent: a batch goes when it is full or when its oldest request
 * has waited so long. Lengths are padded to the longest.
 */
export class FixedWindow extends Fifo {
  protected readonly limits: StaticLimits;

  constructor(limits: StaticLimits) {
    super();
    this.limits = limits;
  }

  next(idleInstances: number, nowMs: number): Decision<Request> {
    const { size, delayMs } = this.limits;
    const [oldest] = this.waiting;
    if (idleInstances === 0 || oldest === undefined) return this.wait(Infinity);
    const dueAtMs = oldest.enqueuedAtMs + delayMs;
    if (this.waiting.length < size && nowMs < dueAtMs) return this.wait(dueAtMs);
    return this.run(size, nowMs);
  }
}

/**
 * MLServer: it begins to collect when the last batch is done, and waits for a full batch or so long,
 * whatever has waited already.
 */
export class MlServer extends FixedWindow {
  #collectingSinceMs: number | undefined;

  override next(idleInstances: number, nowMs: number): Decision<Request> {
    const { size, delayMs } = this.limits;
    if (idleInstances === 0 || this.waiting.length === 0) return this.wait(Infinity);
    this.#collectingSinceMs ??= nowMs;
    const dueAtMs = this.#collectingSinceMs + delayMs;
    if (this.waiting.length < size && nowMs < dueAtMs) return this.wait(dueAtMs);
    this.#collectingSinceMs = undefined;
    return this.run(size, nowMs);
  }
}

/**
 * Triton's dynamic batcher: the window counts from the oldest request, one of another shape closes the
 * batch, and a request whose queue timeout is over is rejected when its turn comes.
 */
export class Triton extends FixedWindow {
  readonly #timeoutMs: number;

  constructor(limits: StaticLimits & { readonly timeoutMs: number }) {
    super(limits);
    this.#timeoutMs = limits.timeoutMs;
  }

  override next(idleInstances: number, nowMs: number): Decision<Request> {
    if (idleInstances === 0) return this.wait(Infinity);
    const { size, delayMs } = this.limits;
    const refuse = [];
    for (;;) {
      const [oldest] = this.waiting;
      if (oldest === undefined) return this.wait(Infinity, refuse);
      if (nowMs - oldest.enqueuedAtMs > this.#timeoutMs) {
        refuse.push(...this.refuseHead(nowMs));
        continue;
      }
      const first = this.waiting.slice(0, size);
      const other = first.findIndex(({ length }) => length !== oldest.length);
      const count = other < 0 ? first.length : other;
      const isClosed = count >= size || other >= 0;
      const dueAtMs = oldest.enqueuedAtMs + delayMs;
      if (!isClosed && nowMs < dueAtMs) return this.wait(dueAtMs, refuse);
      return this.run(count, nowMs, refuse);
    }
  }
}
