import { CODE, Http2Error } from "./error.js";
import { FLAG, FRAME, MAX_FRAME_BYTES, MAX_WINDOW, type FrameOutput } from "./frames.js";
import { PREFIX_BYTES, RESPONSE_HEAD, STATUS, trailersOf } from "./grpc.js";
import type { GrpcStream, StreamOutput } from "./stream.js";

/** RFC 9113, 6.9.2. */
const FIRST_WINDOW = 65_535;
const UINT32_BYTES = 4;

export type SenderEvents = {
  /** Nothing waits for a window any more. */
  sent(stream: GrpcStream): void;
  /** Its last frame is written. */
  finished(stream: GrpcStream): void;
};

/** Writes the frames of streams, as much as the peer's windows take. */
export class Sender implements StreamOutput {
  readonly #output: FrameOutput;
  readonly #events: SenderEvents;
  readonly #waiting = new Set<GrpcStream>();
  #window = FIRST_WINDOW;
  #streamWindow = FIRST_WINDOW;
  #maxFrameBytes = MAX_FRAME_BYTES;

  constructor(output: FrameOutput, events: SenderEvents) {
    this.#output = output;
    this.#events = events;
  }

  /** What a stream that opens now may send. */
  get streamWindow(): number {
    return this.#streamWindow;
  }

  sendWhole(stream: GrpcStream, message: Buffer): boolean {
    const bytes = PREFIX_BYTES + message.length;
    if (bytes > Math.min(this.#window, stream.sendWindow, this.#maxFrameBytes)) return false;
    this.#writeHead(stream);
    this.#output.frame(bytes, FRAME.data, 0, stream.id);
    this.#output.byte(0);
    this.#output.uint32(message.length);
    this.#output.payload(message);
    this.#window -= bytes;
    stream.sendWindow -= bytes;
    this.#output.settle();
    return true;
  }

  queue(stream: GrpcStream, message: Buffer): void {
    const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
    framed[0] = 0;
    framed.writeUInt32BE(message.length, 1);
    framed.set(message, PREFIX_BYTES);
    stream.queued.push(framed);
    this.#sendQueued(stream);
    this.#output.settle();
  }

  finish(stream: GrpcStream, code: number): void {
    if (code !== STATUS.ok) stream.queued = [];
    if (stream.queued.length === 0) this.#finish(stream);
    this.#output.settle();
  }

  /** RST_STREAM, which is the last frame of a stream. */
  reset(streamId: number, code: number): void {
    this.#output.frame(UINT32_BYTES, FRAME.rstStream, 0, streamId);
    this.#output.uint32(code);
  }

  forget(stream: GrpcStream): void {
    stream.queued = [];
    this.#waiting.delete(stream);
  }

  setMaxFrameBytes(bytes: number): void {
    this.#maxFrameBytes = bytes;
  }

  /** RFC 9113, 6.9.2: a new first window changes those of open streams too. */
  setStreamWindow(bytes: number, streams: Iterable<GrpcStream>): void {
    const change = bytes - this.#streamWindow;
    this.#streamWindow = bytes;
    if (change === 0) return;
    for (const stream of streams) {
      stream.sendWindow += change;
      if (stream.sendWindow > MAX_WINDOW) {
        throw new Http2Error(CODE.flowControlError, "SETTINGS make a window over 2^31-1");
      }
    }
    this.#sendWaiting();
  }

  widen(increment: number): void {
    this.#window += increment;
    if (this.#window > MAX_WINDOW) {
      throw new Http2Error(CODE.flowControlError, "the connection's window is over 2^31-1");
    }
    this.#sendWaiting();
  }

  /** False: the window would be too large, which is the stream's error. */
  widenStream(stream: GrpcStream, increment: number): boolean {
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW) return false;
    if (stream.queued.length > 0) this.#sendQueued(stream);
    return true;
  }

  #sendWaiting(): void {
    for (const stream of this.#waiting) {
      if (this.#window <= 0) return;
      this.#sendQueued(stream);
    }
  }

  #sendQueued(stream: GrpcStream): void {
    this.#writeHead(stream);
    for (let [first] = stream.queued; first !== undefined; [first] = stream.queued) {
      const most = Math.min(this.#window, stream.sendWindow, this.#maxFrameBytes, first.length);
      if (most <= 0) {
        this.#waiting.add(stream);
        return;
      }
      this.#output.frame(most, FRAME.data, 0, stream.id);
      this.#output.payload(first.subarray(0, most));
      this.#window -= most;
      stream.sendWindow -= most;
      if (most === first.length) stream.queued.shift();
      else stream.queued[0] = first.subarray(most);
    }
    this.#waiting.delete(stream);
    if (stream.ending === undefined) this.#events.sent(stream);
    else this.#finish(stream);
  }

  #writeHead(stream: GrpcStream): void {
    if (stream.isHeadSent) return;
    stream.isHeadSent = true;
    this.#output.frame(RESPONSE_HEAD.length, FRAME.headers, FLAG.endHeaders, stream.id);
    this.#output.payload(RESPONSE_HEAD);
  }

  /** Without a head of their own, trailers bring one (gRPC's Trailers-Only). */
  #finish(stream: GrpcStream): void {
    const { code, details } = stream.ending ?? { code: STATUS.ok, details: "" };
    const trailers = trailersOf(code, details);
    const block = stream.isHeadSent ? trailers : Buffer.concat([RESPONSE_HEAD, trailers]);
    stream.isHeadSent = true;
    this.#output.frame(block.length, FRAME.headers, FLAG.endHeaders | FLAG.endStream, stream.id);
    this.#output.payload(block);
    // A peer that could still send is told that nobody reads it (RFC 9113, 8.1).
    if (!stream.isHalfClosed) this.reset(stream.id, CODE.noError);
    this.#events.finished(stream);
  }
}
