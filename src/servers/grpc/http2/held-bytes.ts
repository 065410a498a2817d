import type { ByteBudget, ByteLease } from "../../../core/serving/byte-budget.js";
import { NO_ROOM, STATUS } from "./grpc.js";
import type { Limits } from "./limits.js";
import type { GrpcStream } from "./stream.js";

export type Held = {
  readonly lease: ByteLease;
  /** Which message of its stream. */
  readonly message: number;
  readonly timer: NodeJS.Timeout;
  bytes: number;
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
    const held = (stream.held ??= this.#begin(stream));
    try {
      held.lease.take(heldBytes - held.bytes);
      held.bytes = heldBytes;
    } catch {
      stream.fail(NO_ROOM.code, NO_ROOM.details);
    }
  }

  forget(stream: GrpcStream): void {
    const { held } = stream;
    if (held === undefined) return;
    stream.held = undefined;
    held.lease.release();
    clearTimeout(held.timer);
  }

  #begin(stream: GrpcStream): Held {
    const timer = setTimeout(() => {
      const details = `a message has not come whole within ${this.#wholeMs} ms`;
      stream.fail(STATUS.deadlineExceeded, details);
    }, this.#wholeMs);
    return { lease: this.#budget.open(), message: stream.messages, timer, bytes: 0 };
  }
}
