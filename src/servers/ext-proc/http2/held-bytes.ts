import { STATUS } from "./grpc.js";
import type { GrpcStream } from "./stream.js";

/** On all streams of a connection; Envoy's messages come in one piece. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;

/**
 * Bytes of messages that have not come whole. Begun ones on many streams would fill the memory, and
 * each would stay under its own bound.
 */
export class HeldBytes {
  readonly #byStream = new Map<GrpcStream, number>();
  #bytes = 0;

  /** Counts what an open stream holds now; over the bound the stream ends. */
  bound(stream: GrpcStream): void {
    this.forget(stream);
    const { heldBytes } = stream;
    if (heldBytes === 0) return;
    this.#byStream.set(stream, heldBytes);
    this.#bytes += heldBytes;
    if (this.#bytes <= MAX_HELD_BYTES) return;
    const details = `messages begun on this connection hold over ${MAX_HELD_BYTES} bytes`;
    stream.fail(STATUS.resourceExhausted, details);
  }

  forget(stream: GrpcStream): void {
    const counted = this.#byStream.get(stream);
    if (counted === undefined) return;
    this.#byStream.delete(stream);
    this.#bytes -= counted;
  }
}
