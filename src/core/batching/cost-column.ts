/**
 * Costs of batches of items of one length, at some batch sizes (the knots), linear in between.
 * `fitted` is the least that any batch of the size or a larger one costs: it rises with the size,
 * and because times err upwards only, a stalled measurement is mended by its larger neighbours.
 */
export class CostColumn {
  readonly length: number;
  readonly #knots: readonly number[];
  readonly #measured: number[];
  #fitted: readonly number[] = [];
  #best = 1;

  /** @param costs at each of `knots`, which begin with 1 and rise */
  constructor(length: number, knots: readonly number[], costs: readonly number[]) {
    this.length = length;
    this.#knots = knots;
    this.#measured = [...costs];
    this.#fit();
  }

  /** The smallest size that serves nearly as many items a millisecond as any. */
  get bestSize(): number {
    return this.#best;
  }

  costOf(items: number): number {
    const above = this.#above(items);
    const [size, cost] = [this.#knots[above] ?? 1, this.#fitted[above] ?? 0];
    if (above === 0 || items >= size) return (cost * items) / size;
    const [below, belowCost] = [this.#knots[above - 1] ?? 0, this.#fitted[above - 1] ?? 0];
    return belowCost + ((cost - belowCost) * (items - below)) / (size - below);
  }

  /** The largest size, up to `limit`, that costs at most so much; 0: none. */
  sizeWithin(cost: number, limit: number): number {
    let [low, high] = [0, limit];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.costOf(middle) <= cost) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The first knot over the size, or the size itself. */
  knotAbove(size: number): number {
    return this.#knots.find((knot) => knot > size) ?? size;
  }

  /** Moves the knots around the size by this factor, each as far as it is near. */
  adjust(items: number, factor: number): void {
    const above = this.#above(items);
    const [low, high] = [this.#knots[above - 1] ?? 0, this.#knots[above] ?? 1];
    const nearness = Math.min(1, (items - low) / (high - low));
    this.#measured[above] = (this.#measured[above] ?? 0) * factor ** nearness;
    if (above > 0) {
      this.#measured[above - 1] = (this.#measured[above - 1] ?? 0) * factor ** (1 - nearness);
    }
    this.#fit();
  }

  /** A guess at items of another length: what does not grow with the batch stays as it is. */
  stretched(length: number): CostColumn {
    const [one, largest] = [this.costOf(1), this.#knots.at(-1) ?? 1];
    const slope = largest === 1 ? one : (this.costOf(largest) - one) / (largest - 1);
    const fixed = Math.max(0, one - slope);
    const costs = this.#fitted.map((cost) => fixed + ((cost - fixed) * length) / this.length);
    return new CostColumn(length, this.#knots, costs);
  }

  #above(items: number): number {
    const found = this.#knots.findIndex((knot) => knot >= items);
    return found < 0 ? this.#knots.length - 1 : found;
  }

  #fit(): void {
    const fitted = [...this.#measured];
    for (let at = fitted.length - 2; at >= 0; at -= 1) {
      fitted[at] = Math.min(fitted[at] ?? 0, fitted[at + 1] ?? 0);
    }
    this.#fitted = fitted;
    const rateOf = (at: number) => (this.#knots[at] ?? 0) / (fitted[at] ?? Infinity);
    let most = 0;
    for (let at = 0; at < fitted.length; at += 1) most = Math.max(most, rateOf(at));
    this.#best = this.#knots.find((_size, at) => rateOf(at) >= NEARLY * most) ?? 1;
  }
}

/** A larger batch that gains less keeps its requests waiting for nothing. */
const NEARLY = 0.97;
