type Gap = { lastAtMs: number; meanMs: number };

/** Shapes are chosen by callers; the least recent are forgotten beyond so many. */
const MAX_SHAPES = 256;
const GAIN = 0.1;

/** How soon the next request of a shape is expected: a decayed mean of the times between them. */
export class ArrivalGaps {
  readonly #gaps = new Map<string, Gap>();

  arrived(shapeKey: string, nowMs: number): void {
    const gap = this.#gaps.get(shapeKey);
    if (gap === undefined) {
      if (this.#gaps.size >= MAX_SHAPES) this.#forgetOne();
      this.#gaps.set(shapeKey, { lastAtMs: nowMs, meanMs: Infinity });
      return;
    }
    const sinceMs = nowMs - gap.lastAtMs;
    gap.meanMs = gap.meanMs === Infinity ? sinceMs : gap.meanMs + GAIN * (sinceMs - gap.meanMs);
    gap.lastAtMs = nowMs;
  }

  /** Infinity: none is expected. */
  meanMs(shapeKey: string): number {
    return this.#gaps.get(shapeKey)?.meanMs ?? Infinity;
  }

  lastAtMs(shapeKey: string): number {
    return this.#gaps.get(shapeKey)?.lastAtMs ?? -Infinity;
  }

  #forgetOne(): void {
    let oldest: string | undefined;
    let oldestAtMs = Infinity;
    for (const [shapeKey, { lastAtMs }] of this.#gaps) {
      if (lastAtMs >= oldestAtMs) continue;
      oldest = shapeKey;
      oldestAtMs = lastAtMs;
    }
    if (oldest !== undefined) this.#gaps.delete(oldest);
  }
}
