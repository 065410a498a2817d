/**
 * A quantile of a stream, by stochastic approximation (Robbins and Monro, 1951): each value moves
 * it by a fixed step, so one outlier weighs no more than any other value, however far out it is.
 */
export class QuantileTracker {
  readonly #share: number;
  readonly #step: number;
  #value: number;

  /** @param share of values below it, 0..1  @param step per value, in units of the values */
  constructor(share: number, initial: number, step: number) {
    this.#share = share;
    this.#step = step;
    this.#value = initial;
  }

  get value(): number {
    return this.#value;
  }

  add(value: number): void {
    this.#value += this.#step * (value > this.#value ? this.#share : this.#share - 1);
  }
}
