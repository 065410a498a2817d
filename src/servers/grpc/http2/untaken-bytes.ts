import type { ByteBudget, ByteLease } from "../../../core/serving/byte-budget.js";
import { NO_ROOM_FOR_ANSWER } from "./grpc.js";
import type { Limits } from "./limits.js";
import type { GrpcStream } from "./stream.js";

export type Untaken = { readonly lease: ByteLease; readonly timer: NodeJS.Timeout; bytes: number };

/**
 * What is held of answers that their peers do not take. Windows bound what is on its way and not
 * what waits for them: a peer could ask on many streams, and take nothing.
 */
export class UntakenBytes {
  readonly #budget: ByteBudget;
  readonly #patienceMs: number;
  readonly #giveUp: (stream: GrpcStream) => void;

  /** @param giveUp  ends a stream of which nothing was taken for `wholeMs` */
  constructor(
    budget: ByteBudget,
    { wholeMs }: Pick<Limits, "wholeMs">,
    giveUp: (stream: GrpcStream) => void,
  ) {
    this.#budget = budget;
    this.#patienceMs = wholeMs;
    this.#giveUp = giveUp;
  }

  /** Counts what an open stream has queued now; it fails, and the answer is false, if there is no room. */
  bound(stream: GrpcStream): boolean {
    const { queuedBytes } = stream;
    if (queuedBytes === 0) {
      this.forget(stream);
      return true;
    }
    const untaken = (stream.untaken ??= this.#begin(stream));
    const more = queuedBytes - untaken.bytes;
    try {
      untaken.lease.take(more);
    } catch {
      stream.fail(NO_ROOM_FOR_ANSWER.code, NO_ROOM_FOR_ANSWER.details);
      return false;
    }
    untaken.bytes = queuedBytes;
    if (more < 0) untaken.timer.refresh();
    return true;
  }

  forget(stream: GrpcStream): void {
    const { untaken } = stream;
    if (untaken === undefined) return;
    stream.untaken = undefined;
    untaken.lease.release();
    clearTimeout(untaken.timer);
  }

  #begin(stream: GrpcStream): Untaken {
    const timer = setTimeout(() => {
      this.#giveUp(stream);
    }, this.#patienceMs);
    return { lease: this.#budget.open(), timer, bytes: 0 };
  }
}
