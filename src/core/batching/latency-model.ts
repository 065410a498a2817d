import { CostColumn } from "./cost-column.js";
import { QuantileTracker } from "./quantile-tracker.js";

/** One run of the warm-up: how long so many items of a length took. */
export type ProfilePoint = { readonly items: number; readonly length: number; readonly ms: number };

/**
 * What one run costs, by items and length of an item: L(b, s). Seeded by the warm-up and kept up by
 * every run. The shape of the curve and the speed of the machine are learnt apart: a slow hour of
 * the machine is seen in batches of any size, and slows the prediction of all of them.
 *
 * It must not believe one stalled run, and must believe again after a slow hour: an observation is
 * clipped to half and twice the prediction, but one that comes after a silence and is much faster is
 * believed whole, for nothing makes a run too fast.
 */
export class LatencyModel {
  readonly #knots: readonly number[];
  readonly #columns = new Map<number, CostColumn>();
  readonly #low = new QuantileTracker(0.05, 0.95, RATIO_STEP);
  readonly #high = new QuantileTracker(0.98, 1.3, RATIO_STEP);
  #slowness = 1;
  #lastRunAtMs = -Infinity;

  constructor(maxBatchSize: number, profile: readonly ProfilePoint[]) {
    this.#knots = knotsUpTo(maxBatchSize);
    for (const bucket of new Set(profile.map(({ length }) => bucketOf(length)))) {
      this.#learn(profile.filter(({ length }) => bucketOf(length) === bucket));
    }
  }

  /** Expected time of a run; 0 while nothing is known: who knows nothing refuses nobody. */
  meanMs(items: number, length: number): number {
    return this.#slowness * (this.#column(length)?.costOf(items) ?? 0);
  }

  /** One run in twenty is faster. */
  lowMs(items: number, length: number): number {
    return this.meanMs(items, length) * Math.min(1, this.#low.value);
  }

  /** One run in twenty is slower. */
  highMs(items: number, length: number): number {
    return this.meanMs(items, length) * Math.max(1, this.#high.value);
  }

  /** Instance time of so many items in batches of the best size. */
  workMs(items: number, length: number): number {
    const size = this.#column(length)?.ampleSize ?? 1;
    return (this.meanMs(size, length) * items) / size;
  }

  /**
   * The size to run: where time is short the one that serves most items a millisecond, else one that
   * serves nearly as many and answers sooner. Undefined while nothing is known.
   */
  bestSize(length: number, isShort: boolean): number | undefined {
    const column = this.#column(length);
    return isShort ? column?.fullSize : column?.ampleSize;
  }

  /** Expected times of the sizes at which they are kept, of items of this length. */
  curve(length: number): readonly { readonly items: number; readonly ms: number }[] {
    return this.#knots.map((items) => ({ items, ms: this.meanMs(items, length) }));
  }

  /** The largest size, up to `limit`, that is expected to run within this time; 0: none. */
  sizeWithin(ms: number, limit: number, length: number): number {
    return this.#column(length)?.sizeWithin(ms / this.#slowness, limit) ?? limit;
  }

  /** A size a little over this one: larger ones are tried now and then, or would never be known. */
  sizeAbove(size: number, length: number): number {
    return this.#column(length)?.knotAbove(size) ?? size;
  }

  /** How long nothing has run: the older the knowledge, the less it is worth. */
  silenceMs(nowMs: number): number {
    return nowMs - this.#lastRunAtMs;
  }

  observe(items: number, length: number, ms: number, nowMs: number): void {
    const silenceMs = this.silenceMs(nowMs - ms);
    this.#lastRunAtMs = nowMs;
    const column = this.#column(length);
    if (column === undefined) {
      this.#learn([{ items, length, ms }]);
      return;
    }
    const ratio = Math.max(LEAST_MS, ms) / this.meanMs(items, length);
    this.#low.add(ratio);
    this.#high.add(ratio);
    if (ratio < MUCH_FASTER && silenceMs >= TRUSTED_MS) {
      this.#slowness *= ratio;
      return;
    }
    const clipped = Math.min(MAX_RATIO, Math.max(1 / MAX_RATIO, ratio));
    this.#slowness *= clipped ** SLOWNESS_GAIN;
    column.adjust(items, clipped ** SHAPE_GAIN);
  }

  #learn(points: readonly ProfilePoint[]): void {
    const length = Math.max(...points.map((point) => point.length));
    const costs = costsAt(this.#knots, points);
    this.#columns.set(bucketOf(length), new CostColumn(length, this.#knots, costs));
  }

  /** What is not known of a length is guessed from the nearest one that is. */
  #column(length: number): CostColumn | undefined {
    const bucket = bucketOf(length);
    const known = this.#columns.get(bucket);
    if (known !== undefined || this.#columns.size === 0) return known;
    const distance = (other: number) => Math.abs(other - bucket);
    const nearest = [...this.#columns.keys()].reduce((best, other) =>
      distance(other) < distance(best) ? other : best,
    );
    const column = this.#columns.get(nearest)?.stretched(length);
    if (column !== undefined) this.#columns.set(bucket, column);
    return column;
  }
}

/** In logarithms, so that noise that is as often twice as half does not move them. */
const SLOWNESS_GAIN = 0.1;
const SHAPE_GAIN = 0.03;
const MAX_RATIO = 2;
const MUCH_FASTER = 0.5;
/** After such a silence a run says more than everything before it. */
const TRUSTED_MS = 1000;
const RATIO_STEP = 0.02;
/** What a clock cannot tell from nothing. */
const LEAST_MS = 1e-3;

/** Lengths of one bucket cost the same; the grid is geometric, so that there are few. */
const bucketOf = (length: number) =>
  length <= 1 ? 0 : Math.ceil(Math.log(length) / Math.log(LENGTH_GRID));
const LENGTH_GRID = 1.25;

/** 1, 2, 3, 4, 6, 8, 12, 16, … and the largest. */
function knotsUpTo(maxBatchSize: number): readonly number[] {
  const knots = new Set([1]);
  for (let size = 2; size < maxBatchSize; size *= 2) {
    knots.add(size);
    if (size * 1.5 < maxBatchSize) knots.add(size * 1.5);
  }
  return [...knots.add(maxBatchSize)].sort((a, b) => a - b);
}

/**
 * Linear between what was measured. From a single point half of it is taken to be the same for any
 * size: what batching gains is found out by batching.
 */
function costsAt(knots: readonly number[], points: readonly ProfilePoint[]): readonly number[] {
  const known = [...points].sort((a, b) => a.items - b.items);
  return knots.map((knot) => {
    const above = known.find(({ items }) => items >= knot) ?? known.at(-1);
    const below = known.findLast(({ items }) => items <= knot) ?? known[0];
    if (above === undefined || below === undefined) return LEAST_MS;
    const { items, ms } = below;
    if (above.items === items) return Math.max(LEAST_MS, (ms / 2) * (1 + knot / items));
    const share = (knot - items) / (above.items - items);
    return Math.max(LEAST_MS, ms + (above.ms - ms) * share);
  });
}
