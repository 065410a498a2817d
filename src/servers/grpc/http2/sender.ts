import { CODE } from "./error.js";
import { flowError, protocolError } from "./frame-shape.js";
import { FLAG, FRAME, MAX_FRAME_BYTES, MAX_WINDOW, SETTING, type FrameOutput } from "./frames.js";
import { PREFIX_BYTES, RESPONSE_HEAD, STATUS, trailersOf } from "./grpc.js";
import type { OpenStreams } from "./open-streams.js";
import { OK } from "./stream.js";
import type { GrpcStream, StreamOutput } from "./stream.js";
import type { UntakenBytes } from "./untaken-bytes.js";

/** Of streams and of connections, until a peer says otherwise (RFC 9113, 6.9.2). */
export const FIRST_WINDOW = 65_535;

export type SenderEvents = {
  /** Nothing waits for a window any more. */
  sent(stream: GrpcStream): void;
  /** Its last frame is written. */
  finished(stream: GrpcStream): void;
};

/** Writes the frames of streams, as much as the peer's windows and its socket take. */
export class Sender implements StreamOutput {
  readonly #output: FrameOutput;
  readonly #untaken: UntakenBytes;
  readonly #events: SenderEvents;
  readonly #waiting = new Set<GrpcStream>();
  #window = FIRST_WINDOW;
  #streamWindow = FIRST_WINDOW;
  #maxFrameBytes = MAX_FRAME_BYTES;

  constructor(output: FrameOutput, untaken: UntakenBytes, events: SenderEvents) {
    this.#output = output;
    this.#untaken = untaken;
    this.#events = events;
  }

  /** What a stream that opens now may send. */
  get streamWindow(): number {
    return this.#streamWindow;
  }

  sendWhole(stream: GrpcStream, message: Buffer): boolean {
    const bytes = PREFIX_BYTES + message.length;
    if (bytes > this.#mostOf(stream)) return false;
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
    stream.queuedBytes += framed.length;
    if (this.#untaken.bound(stream)) this.#sendQueued(stream);
    this.#output.settle();
  }

  finish(stream: GrpcStream): void {
    if (stream.ending?.code !== STATUS.ok) dropQueued(stream);
    if (stream.queued.length === 0) this.#finish(stream);
    this.#output.settle();
  }

  forget(stream: GrpcStream): void {
    dropQueued(stream);
    this.#waiting.delete(stream);
    this.#untaken.forget(stream);
  }

  /** Takes a setting of the peer. Those not here bound what we never do: push, and index fields. */
  set(setting: number, value: number, streams: OpenStreams<GrpcStream>): void {
    if (setting === SETTING.initialWindowSize) {
      if (value > MAX_WINDOW) throw flowError("a first window over 2^31-1");
      this.#setStreamWindow(value, streams.values());
    } else if (setting === SETTING.maxFrameSize) {
      if (value < MAX_FRAME_BYTES || value >= 2 ** 24) throw protocolError("a bad MAX_FRAME_SIZE");
      this.#maxFrameBytes = value;
    } else if (setting === SETTING.enablePush && value > 1)
      throw protocolError("a bad ENABLE_PUSH");
  }

  widen(increment: number): void {
    this.#window += increment;
    if (this.#window > MAX_WINDOW) throw flowError("the connection's window is over 2^31-1");
    this.#sendWaiting();
  }

  /** False: the window would be too large, which is the stream's error. */
  widenStream(stream: GrpcStream, increment: number): boolean {
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW) return false;
    if (stream.queued.length > 0) this.#sendQueued(stream);
    return true;
  }

  /** RFC 9113, 6.9.2: a new first window changes those of open streams too. */
  #setStreamWindow(bytes: number, streams: Iterable<GrpcStream>): void {
    const change = bytes - this.#streamWindow;
    this.#streamWindow = bytes;
    if (change === 0) return;
    for (const stream of streams) {
      stream.sendWindow += change;
      if (stream.sendWindow > MAX_WINDOW) throw flowError("SETTINGS make a window over 2^31-1");
    }
    this.#sendWaiting();
  }

  /** The socket has taken all that it had. */
  drained(): void {
    this.#output.drained();
    this.#sendWaiting();
    this.#output.settle();
  }

  #sendWaiting(): void {
    for (const stream of this.#waiting) {
      if (Math.min(this.#window, this.#output.room) <= 0) return;
      this.#sendQueued(stream);
    }
  }

  /** Bytes of the next frame. */
  #mostOf(stream: GrpcStream): number {
    const windows = Math.min(this.#window, stream.sendWindow, this.#maxFrameBytes);
    return Math.min(windows, this.#output.room);
  }

  #sendQueued(stream: GrpcStream): void {
    this.#writeHead(stream);
    for (let [first] = stream.queued; first !== undefined; [first] = stream.queued) {
      const most = Math.min(this.#mostOf(stream), first.length);
      if (most <= 0) {
        this.#waiting.add(stream);
        this.#untaken.bound(stream);
        return;
      }
      this.#output.frame(most, FRAME.data, 0, stream.id);
      this.#output.payload(first.subarray(0, most));
      this.#window -= most;
      stream.sendWindow -= most;
      stream.queuedBytes -= most;
      if (most === first.length) stream.queued.shift();
      else stream.queued[0] = first.subarray(most);
    }
    this.#waiting.delete(stream);
    this.#untaken.forget(stream);
    if (stream.ending === undefined) this.#events.sent(stream);
    else this.#finish(stream);
  }

  #writeHead(stream: GrpcStream): void {
    if (stream.isHeadSent) return;
    stream.isHeadSent = true;
    this.#output.fields(RESPONSE_HEAD, 0, stream.id);
  }

  /** Without a head of their own, trailers bring one (gRPC's Trailers-Only). */
  #finish(stream: GrpcStream): void {
    const { code, details, more } = stream.ending ?? OK;
    const trailers = trailersOf(code, details, more);
    const block = stream.isHeadSent ? trailers : Buffer.concat([RESPONSE_HEAD, trailers]);
    stream.isHeadSent = true;
    this.#output.fields(block, FLAG.endStream, stream.id);
    // A peer that could still send is told that nobody reads it (RFC 9113, 8.1).
    if (!stream.isHalfClosed) this.#output.reset(stream.id, CODE.noError);
    this.#events.finished(stream);
  }
}

function dropQueued(stream: GrpcStream): void {
  stream.queued = [];
  stream.queuedBytes = 0;
}
