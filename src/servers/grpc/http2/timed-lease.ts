import type { ByteBudget, ByteLease } from "../../../core/serving/byte-budget.js";

/** Bytes that wait for a peer: they count in a budget, and do not wait for ever. */
export class TimedLease {
  readonly #lease: ByteLease;
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;

  /** @param giveUp  called once when they have waited for so long, unless they are released */
  constructor(budget: ByteBudget, patienceMs: number, giveUp: () => void) {
    this.#lease = budget.open();
    this.#timer = setTimeout(giveUp, patienceMs);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts so many from now on. False: there is no room, and it counts what it did. */
  hold(bytes: number): boolean {
    try {
      this.#lease.take(bytes - this.#bytes);
    } catch {
      return false;
    }
    this.#bytes = bytes;
    return true;
  }

  waitAnew(): void {
    this.#timer.refresh();
  }

  release(): void {
    this.#lease.release();
    clearTimeout(this.#timer);
  }
}
