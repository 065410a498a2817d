import type { ByteBudget } from "../../../core/serving/byte-budget.js";
import { NO_ROOM_FOR_ANSWER } from "./grpc.js";
import type { Limits } from "./limits.js";
import type { GrpcStream } from "./stream.js";
import { TimedLease } from "./timed-lease.js";

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
    const lease = (stream.untaken ??= this.#begin(stream));
    if (stream.queuedBytes < lease.bytes) lease.waitAnew();
    if (lease.hold(stream.queuedBytes)) return true;
    stream.fail(NO_ROOM_FOR_ANSWER.code, NO_ROOM_FOR_ANSWER.details);
    return false;
  }

  forget(stream: GrpcStream): void {
    stream.untaken?.release();
    stream.untaken = undefined;
  }

  #begin(stream: GrpcStream): TimedLease {
    return new TimedLease(this.#budget, this.#patienceMs, () => {
      this.#giveUp(stream);
    });
  }
}
