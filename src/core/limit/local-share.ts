import { admit, type Admission, type Quota } from "./gcra.js";

/**
 * A replica's part of a quota while the shared store is away: a bucket of its own, of `1 / replicas`
 * the size and rate. It starts as full as the whole was known to be, so that losing the store frees
 * nothing; what it charged is reported when the store is back, so that finding it frees nothing.
 */
export class LocalShare {
  readonly #replicas: number;
  #tatMs: number;

  /** @param level  units used of the whole quota, as far as known */
  constructor(quota: Quota, replicas: number, level: number, nowMs: number) {
    this.#replicas = replicas;
    this.#tatMs = nowMs + (level * quota.periodMs) / quota.requests;
  }

  /** Changes nothing; at least one request fits in a share. */
  ask(quota: Quota, cost: number, nowMs: number): Admission {
    const { requests, periodMs, burst } = quota;
    const share = Math.max(burst / this.#replicas, Math.min(cost, burst));
    const ofShare = { requests: requests / this.#replicas, periodMs, burst: share };
    return admit(this.#tatMs, ofShare, cost, nowMs);
  }

  take({ tatMs }: { readonly tatMs: number }): void {
    this.#tatMs = tatMs;
  }

  /** Charged to the whole by a lease meanwhile. */
  raise(quota: Quota, cost: number): void {
    this.#tatMs += (cost * quota.periodMs) / quota.requests;
  }

  /** Units charged here that the whole's level, known from before, does not hold. */
  unreported(quota: Quota, level: number, nowMs: number): number {
    const own = ((this.#tatMs - nowMs) * quota.requests) / quota.periodMs;
    return Math.max(0, own - level) / this.#replicas;
  }
}
