import type { ByteBudget } from "../../../core/serving/byte-budget.js";
import { NO_ROOM, STATUS } from "./grpc.js";
import type { Limits } from "./limits.js";
import type { GrpcStream } from "./stream.js";
import { TimedLease } from "./timed-lease.js";

export type Held = {
  readonly lease: TimedLease;
  /** Which message of its stream. */
  readonly message: number;
};

/**
 * What is held of messages that have not come whole. Begun ones on many streams would fill the
 * memory, and each would stay under its own bound; those that never end would fill it for good.
 */
export class HeldBytes {
  readonly #budget: ByteBudget;
  readonly #wholeMs: number;

  constructor(budget: ByteBudget, { wholeMs }: Pick<Limits, "wholeMs">) {
    this.#budget = budget;
    this.#wholeMs = wholeMs;
  }

  /** Counts what an open stream holds now; it ends if there is no room, or the rest does not come. */
  bound(stream: GrpcStream): void {
    const { heldBytes, messages } = stream;
    if (heldBytes === 0 || stream.held?.message !== messages) this.forget(stream);
    if (heldBytes === 0) return;
    const { lease } = (stream.held ??= this.#begin(stream));
    if (!lease.hold(heldBytes)) stream.fail(NO_ROOM.code, NO_ROOM.details);
  }

  forget(stream: GrpcStream): void {
    stream.held?.lease.release();
    stream.held = undefined;
  }

  #begin(stream: GrpcStream): Held {
    const lease = new TimedLease(this.#budget, this.#wholeMs, () => {
      const details = `a message has not come whole within ${this.#wholeMs} ms`;
      stream.fail(STATUS.deadlineExceeded, details);
    });
    return { lease, message: stream.messages };
  }
}
