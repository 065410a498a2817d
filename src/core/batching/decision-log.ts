import type { RefusalReason } from "./request.js";

/** Why a batch went when it went. */
export type RunReason =
  /** It has as many items as pay. */
  | "full"
  /** More waited, but would have made it late, or did not fit. */
  | "fits no more"
  /** It is a part of what waits: other instances are idle too. */
  | "the rest runs elsewhere"
  /** Nobody was expected soon enough to be worth waiting for. */
  | "no wait pays"
  /** A part of a batch that failed. */
  | "part of a failed batch";

export type LoggedRun = {
  readonly kind: "run";
  readonly atMs: number;
  readonly because: RunReason;
  readonly requests: number;
  readonly items: number;
  /** The size that serves most items a millisecond. */
  readonly targetItems: number;
  /** Left in the queue. */
  readonly waitingItems: number;
  readonly oldestWaitedMs: number;
  readonly predictedMs: number;
  /** Undefined while it runs. */
  tookMs: number | undefined;
};

type LoggedRefusal = {
  readonly kind: "refuse";
  readonly atMs: number;
  readonly because: RefusalReason;
  readonly items: number;
  readonly waitingItems: number;
  readonly waitedMs: number;
  readonly predictedMs: number;
  /** Of its deadline. */
  readonly leftMs: number;
};

/** One decision, as it is shown: figures, and nothing of any input. */
export type LoggedDecision = LoggedRun | LoggedRefusal;

/** The last decisions; older ones are forgotten. */
export class DecisionLog {
  readonly #capacity: number;
  readonly #kept: LoggedDecision[] = [];
  #next = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  add(decision: LoggedDecision): void {
    this.#kept[this.#next] = decision;
    this.#next = (this.#next + 1) % this.#capacity;
  }

  /** Oldest first. */
  last(): readonly LoggedDecision[] {
    return [...this.#kept.slice(this.#next), ...this.#kept.slice(0, this.#next)];
  }
}
