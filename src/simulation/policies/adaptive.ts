import type { Decision, Run } from "../../core/batching/request.js";
import { Fifo } from "./fifo.js";
import type { Request } from "./fifo.js";

/**
 * Clipper (NSDI 2017): the batch size grows by one while batches take no longer than half of the
 * objective, and shrinks by a tenth when one does; nothing waits.
 */
export class Aimd extends Fifo {
  readonly #sloMs: number;
  #size = 1;

  constructor(sloMs: number) {
    super();
    this.#sloMs = sloMs;
  }

  next(idleInstances: number, nowMs: number): Decision<Request> {
    if (idleInstances === 0 || this.waiting.length === 0) return this.wait(Infinity);
    return this.run(Math.floor(this.#size), nowMs);
  }

  override ended(run: Run<Request>, nowMs: number): void {
    const isLate = nowMs - run.startedAtMs > this.#sloMs / 2;
    if (isLate) this.#size = Math.max(1, this.#size * 0.9);
    else if (run.items >= Math.floor(this.#size)) this.#size += 1;
  }
}

const KEPT_RUNS = 50;
const REFIT_MS = 5000;
const TICK_MS = 1;
const DECAY = 0.95;

type Sample = { readonly items: number; readonly ms: number; readonly waitMs: number };

/**
 * BentoML's CORK: a line through the last runs, cost = a * items + b. The head is cancelled when it
 * would be late in a batch of all that waits; a batch waits while one tick more costs its requests
 * less than they wait on average.
 */
export class Cork extends Fifo {
  readonly #maxSize: number;
  readonly #sloMs: number;
  #samples: Sample[] = [];
  #a = 0;
  #b = 0;
  #waitMs = 0;
  #refitAtMs = 0;

  constructor(maxSize: number, sloMs: number, first: { readonly a: number; readonly b: number }) {
    super();
    this.#maxSize = maxSize;
    this.#sloMs = sloMs;
    this.#a = first.a;
    this.#b = first.b;
  }

  next(idleInstances: number, nowMs: number): Decision<Request> {
    const refuse = [];
    for (;;) {
      const count = this.waiting.length;
      const [oldest, newest] = [this.waiting[0], this.waiting.at(-1)];
      if (oldest === undefined || newest === undefined) return this.wait(Infinity, refuse);
      const oldestMs = nowMs - oldest.enqueuedAtMs;
      const isLate =
        count > 1
          ? oldestMs + this.#a * count + this.#b >= this.#sloMs
          : idleInstances === 0 && oldestMs >= this.#sloMs;
      if (isLate) {
        refuse.push(...this.refuseHead(nowMs));
        continue;
      }
      const newestMs = nowMs - newest.enqueuedAtMs;
      const lossMs = count * (newestMs + TICK_MS + this.#a);
      const waits = count < this.#maxSize && lossMs <= this.#waitMs * DECAY;
      if (idleInstances === 0 || waits) return this.wait(nowMs + TICK_MS, refuse);
      return this.run(this.#maxSize, nowMs, refuse);
    }
  }

  override ended(run: Run<Request>, nowMs: number): void {
    const [oldest] = run.requests;
    const waitMs = run.startedAtMs - (oldest?.enqueuedAtMs ?? run.startedAtMs);
    this.#samples.push({ items: run.items, ms: nowMs - run.startedAtMs, waitMs });
    this.#samples = this.#samples.slice(-KEPT_RUNS);
    if (nowMs < this.#refitAtMs) return;
    this.#refitAtMs = nowMs + REFIT_MS;
    this.#refit();
  }

  #refit(): void {
    const count = this.#samples.length;
    const mean = (of: (sample: Sample) => number) =>
      this.#samples.reduce((sum, sample) => sum + of(sample), 0) / count;
    const [items, ms] = [mean((sample) => sample.items), mean((sample) => sample.ms)];
    const variance = mean((sample) => (sample.items - items) ** 2);
    const covariance = mean((sample) => (sample.items - items) * (sample.ms - ms));
    if (variance > 0) {
      this.#a = Math.max(1e-6, covariance / variance);
      this.#b = Math.max(0, ms - this.#a * items);
    }
    this.#waitMs = mean((sample) => sample.waitMs);
  }
}
