import type { BatchLimits } from "./form-batch.js";
import type { LatencyModel } from "./latency-model.js";

type Settings = { readonly maxBatchSize: number; readonly maxPaddingShare: number };

/** Every so many full batches, one is a little larger than seems best, or it would never be known. */
const EXPLORE_EVERY = 32;
const BUDGET_GAIN = 0.05;
/** Of the time that items would save which ran elsewhere at no cost to the others. */
const LEAST_SHARE_SAVED = 0.8;

/** What a batch could be made of, and who could run it. */
export type Supply = { readonly waitingItems: number; readonly idleInstances: number };

/** How large batches should be: by what they cost, and by the time that requests have. */
export class BatchSizes {
  readonly #settings: Settings;
  readonly #costs: LatencyModel;
  /** Decayed mean of 1 / budget, which is 0 for a request without a deadline. */
  #urgency = 0;
  #shortAtMs = -Infinity;
  #fullBatches = 0;

  constructor(settings: Settings, costs: LatencyModel) {
    this.#settings = settings;
    this.#costs = costs;
  }

  /** The time that requests have from arrival to deadline, as a rule; Infinity: they have no deadline. */
  get usualBudgetMs(): number {
    return 1 / this.#urgency;
  }

  noteBudget(budgetMs: number): void {
    this.#urgency += BUDGET_GAIN * (1 / Math.max(1e-3, budgetMs) - this.#urgency);
  }

  /** A request was refused for want of time. */
  noteShortage(nowMs: number): void {
    this.#shortAtMs = nowMs;
  }

  noteFullBatch(): void {
    this.#fullBatches += 1;
  }

  /** A request that has just missed a batch must have time for that one and for its own. */
  target(length: number, nowMs: number): number {
    const { maxBatchSize } = this.#settings;
    const best = this.#costs.bestSize(length, this.#isShort(nowMs)) ?? maxBatchSize;
    const limit = Math.min(maxBatchSize, best);
    const halfMs = this.usualBudgetMs / 2;
    if (this.#costs.highMs(limit, length) <= halfMs) return limit;
    const safety = this.#costs.meanMs(limit, length) / this.#costs.highMs(limit, length);
    return Math.max(1, this.#costs.sizeWithin(halfMs * safety, limit, length));
  }

  /**
   * How much of what waits one batch of this size should take. Where more instances are idle each gets
   * its part, or callers that come back together would keep one of them busy and the others idle for
   * good. But a part that takes nearly as long as the whole would only burn cores.
   */
  partOf({ waitingItems, idleInstances }: Supply, size: number, length: number): number {
    const whole = Math.min(size, waitingItems);
    const part = Math.ceil(waitingItems / Math.max(1, idleInstances));
    if (part >= whole) return size;
    const saved = 1 - this.#costs.meanMs(part, length) / this.#costs.meanMs(whole, length);
    return saved >= LEAST_SHARE_SAVED * (1 - part / whole) ? part : size;
  }

  limits(supply: Supply, nowMs: number): BatchLimits {
    const { maxPaddingShare, maxBatchSize } = this.#settings;
    const explores = this.#fullBatches % EXPLORE_EVERY === EXPLORE_EVERY - 1;
    const targetSize = (length: number) => {
      const size = this.partOf(supply, this.target(length, nowMs), length);
      return explores ? Math.min(maxBatchSize, this.#costs.sizeAbove(size, length)) : size;
    };
    return { targetSize, maxPaddingShare, isShort: this.#isShort(nowMs) };
  }

  #isShort(nowMs: number): boolean {
    return nowMs - this.#shortAtMs < this.usualBudgetMs;
  }
}
