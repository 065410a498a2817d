/**
 * Costs of batches of items of one length, at some batch sizes (the knots), linear in between. They
 * never fall with the size: where what was measured does, `fitted` is midway between the least of the
 * larger and the most of the smaller sizes.
 */
export class CostColumn {
  readonly length: number;
  readonly #knots: readonly number[];
  readonly #measured: number[];
  #fitted: readonly number[] = [];
  #amply = 1;
  #fully = 1;

  /** @param costs at each of `knots`, which begin with 1 and rise */
  constructor(length: number, knots: readonly number[], costs: readonly number[]) {
    this.length = length;
    this.#knots = knots;
    this.#measured = leastOfLarger(costs);
    this.#fit();
  }

  /** The smallest size that serves nine tenths of the items a millisecond that any size can. */
  get ampleSize(): number {
    return this.#amply;
  }

  /** The smallest that serves about as many as any can. */
  get fullSize(): number {
    return this.#fully;
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
    const low = leastOfLarger(this.#measured);
    let most = 0;
    this.#fitted = this.#measured.map((cost, at) => {
      most = Math.max(most, cost);
      return ((low[at] ?? cost) + most) / 2;
    });
    const rateOf = (at: number) => (this.#knots[at] ?? 0) / (this.#fitted[at] ?? Infinity);
    let fastest = 0;
    for (let at = 0; at < this.#fitted.length; at += 1) fastest = Math.max(fastest, rateOf(at));
    const smallest = (share: number) =>
      this.#knots.find((_size, at) => rateOf(at) >= share * fastest) ?? 1;
    this.#amply = smallest(0.9);
    this.#fully = smallest(0.99);
  }
}

/** Times err upwards only: a measurement that was disturbed is mended by those of larger batches. */
function leastOfLarger(costs: readonly number[]): number[] {
  const least = [...costs];
  for (let at = least.length - 2; at >= 0; at -= 1) {
    least[at] = Math.min(least[at] ?? 0, least[at + 1] ?? 0);
  }
  return least;
}
