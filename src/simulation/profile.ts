import type { ProfilePoint } from "../core/batching/latency-model.js";
import { normal } from "./random.js";

/** Measured run times of a model on one instance; bench/measure-profile.mjs writes them. */
export type Profile = {
  readonly model: string;
  readonly machine: string;
  /** Median and upper quartile, by batch size and length of an item: stalls of a shared machine stay out. */
  readonly points: readonly (ProfilePoint & { readonly p75Ms: number })[];
};

/** How long runs take, between the points that were measured as well. */
export class TrueLatency {
  readonly maxBatchSize: number;
  readonly lengths: readonly number[];
  readonly #profile: Profile;
  readonly #sigma: number;

  constructor(profile: Profile) {
    this.#profile = profile;
    this.maxBatchSize = Math.max(...profile.points.map(({ items }) => items));
    this.lengths = [...new Set(profile.points.map(({ length }) => length))].sort((a, b) => a - b);
    const ratios = profile.points.map(({ ms, p75Ms }) => Math.log(Math.max(1, p75Ms / ms)));
    const median = ratios.sort((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? 0;
    this.#sigma = median / UPPER_QUARTILE;
  }

  /** The median. */
  ms(items: number, length: number): number {
    const rows = this.lengths.map((each) => ({ x: each, y: this.#ofLength(items, each) }));
    return between(rows, length);
  }

  /** One run: log-normal about the median. */
  draw(items: number, length: number, random: () => number): number {
    return this.ms(items, length) * Math.exp(this.#sigma * normal(random));
  }

  /** What the best batch size serves. */
  itemsPerMs(length: number): number {
    const sizes = Array.from({ length: this.maxBatchSize }, (_, index) => index + 1);
    return Math.max(...sizes.map((size) => size / this.ms(size, length)));
  }

  /** What a warm-up of this model tells. */
  warmUp(length: number): readonly ProfilePoint[] {
    const sizes: number[] = [];
    for (let size = 1; size <= this.maxBatchSize; size *= 2) sizes.push(size);
    return sizes.map((items) => ({ items, length, ms: this.ms(items, length) }));
  }

  #ofLength(items: number, length: number): number {
    const points = this.#profile.points.filter((point) => point.length === length);
    return between(
      points.map((point) => ({ x: point.items, y: point.ms })),
      items,
    );
  }
}

/** Of the standard normal distribution. */
const UPPER_QUARTILE = 0.6745;

/** Linear between points, in proportion beyond them. */
function between(points: readonly { readonly x: number; readonly y: number }[], x: number): number {
  const sorted = [...points].sort((a, b) => a.x - b.x);
  const [first, last] = [sorted[0], sorted.at(-1)];
  if (first === undefined || last === undefined) throw new Error("a profile has points");
  if (x <= first.x) return first.x === x || sorted.length === 1 ? first.y : (first.y * x) / first.x;
  if (x >= last.x) return (last.y * x) / last.x;
  const above = sorted.findIndex((point) => point.x >= x);
  const [low, high] = [sorted[above - 1] ?? first, sorted[above] ?? last];
  return low.y + ((high.y - low.y) * (x - low.x)) / (high.x - low.x);
}
