/**
 * Generic cell rate algorithm (ITU-T I.371 annex A), virtual scheduling form. One number per key:
 * the theoretical arrival time at which the quota would be whole again.
 */
export type Quota = {
  /** Cost units per period. */
  readonly requests: number;
  readonly periodMs: number;
  /** Cost units that may come at once. */
  readonly burst: number;
};

export type Admission =
  | {
      readonly kind: "admitted";
      readonly tatMs: number;
      readonly remaining: number;
      readonly resetAfterMs: number;
    }
  | {
      readonly kind: "limited";
      readonly retryAfterMs: number;
      readonly remaining: number;
      readonly resetAfterMs: number;
    };

/**
 * Asks whether `cost` units may pass now. Changes nothing: the caller stores `tatMs`.
 * Never admits more than `burst + requests * t / periodMs` in any span of t milliseconds.
 *
 * @param tatMs  the key's stored time; `nowMs` (or any time past) for a key never seen
 */
export function admit(tatMs: number, quota: Quota, cost: number, nowMs: number): Admission {
  const emissionMs = quota.periodMs / quota.requests;
  const capacityMs = quota.burst * emissionMs;
  // A time past the capacity is none that this quota gave out at this clock: the clock was set
  // back, or a reload made the quota smaller. It counts as spent, and does not lock the key out.
  const fromMs = Math.min(Math.max(tatMs, nowMs), nowMs + capacityMs);
  const nextMs = fromMs + cost * emissionMs;
  // A tolerance of a millionth of a unit: 10 * 0.1 must fit in a burst of 1.
  const excessMs = nextMs - nowMs - capacityMs;
  if (excessMs > emissionMs * 1e-6) {
    return {
      kind: "limited",
      retryAfterMs: excessMs,
      remaining: unitsLeft(capacityMs - (fromMs - nowMs), emissionMs),
      resetAfterMs: fromMs - nowMs,
    };
  }
  return {
    kind: "admitted",
    tatMs: nextMs,
    remaining: unitsLeft(capacityMs - (nextMs - nowMs), emissionMs),
    resetAfterMs: nextMs - nowMs,
  };
}

function unitsLeft(ms: number, emissionMs: number): number {
  return Math.max(0, Math.floor(ms / emissionMs + 1e-6));
}
