import type { LatencyModel } from "./latency-model.js";

type Candidate = {
  /** Of the batch that could go now. */
  readonly requests: number;
  readonly items: number;
  readonly length: number;
  /** Until the next request of its shape is expected. */
  readonly gapMs: number;
  readonly idleInstances: number;
};

/**
 * Whether a batch should wait for one more: when those in it lose less together than the newcomer
 * gains. Each of them would wait for it, and run in a larger batch; the newcomer would be spared the
 * rest of their run and a run of its own. With another instance idle it would not wait for them.
 */
export function isWorthWaiting(candidate: Candidate, costs: LatencyModel): boolean {
  const { requests, items, length, gapMs, idleInstances } = candidate;
  if (idleInstances > 1 || gapMs === Infinity) return false;
  const nowMs = costs.meanMs(items, length);
  const laterMs = costs.meanMs(items + 1, length);
  const lossMs = requests * (gapMs + laterMs - nowMs);
  const gainMs = nowMs - gapMs + costs.meanMs(1, length) - laterMs;
  return gainMs > lossMs;
}
