import { flowError } from "./frame-shape.js";
import type { FrameOutput } from "./frames.js";
import { CONNECTION_WINDOW, STREAM_WINDOW } from "./limits.js";
import { FIRST_WINDOW } from "./sender.js";
import type { GrpcStream } from "./stream.js";

/** What a peer may send on one connection, and lets it send more (RFC 9113, 6.9). */
export class ReceiveWindow {
  readonly #output: FrameOutput;
  #bytes = CONNECTION_WINDOW;

  constructor(output: FrameOutput) {
    this.#output = output;
  }

  /** To be called behind our first SETTINGS. */
  open(): void {
    this.#output.widen(0, CONNECTION_WINDOW - FIRST_WINDOW);
  }

  /** Takes bytes of any stream; throws when the peer may not have sent them. */
  take(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes < 0) throw flowError("DATA over the connection's window");
    if (this.#bytes >= CONNECTION_WINDOW / 2) return;
    this.#output.widen(0, CONNECTION_WINDOW - this.#bytes);
    this.#bytes = CONNECTION_WINDOW;
  }

  /** Lets a stream's peer send more, unless it does not take what is sent to it. */
  credit(stream: GrpcStream): void {
    if (stream.receiveWindow >= STREAM_WINDOW / 2 || stream.queued.length > 0) return;
    if (stream.isHalfClosed || stream.ending !== undefined) return;
    this.#output.widen(stream.id, STREAM_WINDOW - stream.receiveWindow);
    stream.receiveWindow = STREAM_WINDOW;
  }
}
