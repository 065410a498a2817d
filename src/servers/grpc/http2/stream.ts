import type { HeaderView } from "../../../core/routing/facts.js";
import type { ServerStream, StreamListener, Trailers } from "../stream.js";
import { encodingOf, PREFIX_BYTES, STATUS, timeoutMsOf, tooLarge } from "./grpc.js";
import type { Held } from "./held-bytes.js";
import type { Inflated } from "./inflater.js";
import { viewOf, type RequestHead } from "./request-head.js";
import type { TimedLease } from "./timed-lease.js";

const NOTHING = Buffer.alloc(0);

/** Where a stream's frames go; sender.ts says how many bytes may. */
export type StreamOutput = {
  /** False: the windows do not take it whole now, and `queue` has to. */
  sendWhole(stream: GrpcStream, message: Buffer): boolean;
  queue(stream: GrpcStream, message: Buffer): void;
  /** Behind what is queued, unless `ending` is an error. */
  finish(stream: GrpcStream): void;
};

/** What a stream has of its connection. */
export type StreamParts = {
  readonly output: StreamOutput;
  readonly maxMessageBytes: number;
  /** Gives `inflated` what a compressed message is, later. */
  readonly inflate: (stream: GrpcStream, message: Buffer) => void;
};

export type Ending = {
  readonly code: number;
  readonly details: string;
  readonly more?: Trailers | undefined;
};
export const OK: Ending = { code: STATUS.ok, details: "" };

/**
 * One gRPC stream of a connection: joins the pieces of messages, which may be cut and joined
 * anywhere, and holds what the windows do not let out yet.
 */
export class GrpcStream implements ServerStream {
  readonly id: number;
  /** Until the peer gives up, counted from when it opened the stream; undefined: never. */
  readonly timeoutMs: number | undefined;
  readonly #head: RequestHead;
  readonly #parts: StreamParts;
  listener: StreamListener | undefined;
  /** Bytes that the peer takes now; may be negative (RFC 9113, 6.9.2). */
  sendWindow: number;
  receiveWindow: number;
  /** Framed messages that wait for a window. */
  queued: Buffer[] = [];
  queuedBytes = 0;
  untaken: TimedLease | undefined;
  /** How it ends once they are sent. */
  ending: Ending | undefined;
  isHeadSent = false;
  isHalfClosed = false;
  timer: NodeJS.Timeout | undefined;
  held: Held | undefined;
  #partial: Buffer = NOTHING;
  #partialBytes = 0;
  /** What has come behind a message that is being inflated waits for it. */
  #isInflating = false;
  #messages = 0;

  constructor(
    id: number,
    head: RequestHead,
    parts: StreamParts,
    windows: { readonly send: number; readonly receive: number },
  ) {
    this.id = id;
    this.timeoutMs = timeoutMsOf(head);
    this.#head = head;
    this.#parts = parts;
    this.sendWindow = windows.send;
    this.receiveWindow = windows.receive;
  }

  get metadata(): HeaderView {
    return viewOf(this.#head);
  }

  /** Of compressed messages; one that we do not know opens no stream. */
  get encoding() {
    return encodingOf(this.#head) ?? "identity";
  }

  /** That have come whole. */
  get messages(): number {
    return this.#messages;
  }

  /** Of messages that have not come whole, or have to wait. */
  get heldBytes(): number {
    return this.#partialBytes;
  }

  send(message: Buffer): void {
    if (this.ending !== undefined) return;
    const { output } = this.#parts;
    const isSent = this.queued.length === 0 && output.sendWhole(this, message);
    if (!isSent) output.queue(this, message);
  }

  end(trailers?: Trailers): void {
    this.#end(trailers === undefined ? OK : { code: STATUS.ok, details: "", more: trailers });
  }

  fail(code: number, details: string, trailers?: Trailers): void {
    this.#end({ code, details, more: trailers });
  }

  #end(ending: Ending): void {
    if (this.ending !== undefined) return;
    this.ending = ending;
    this.#parts.output.finish(this);
  }

  /** Takes the payload of one DATA frame. */
  receive(payload: Buffer): void {
    this.#read(this.#partialBytes > 0 ? this.#join(payload) : payload);
  }

  /** Takes what a compressed message is, and what has come behind it. */
  inflated(message: Inflated): void {
    this.#isInflating = false;
    if (this.ending !== undefined) return;
    if (!Buffer.isBuffer(message)) {
      this.fail(message.code, message.details);
      return;
    }
    this.listener?.message(message);
    const rest = this.#partial.subarray(0, this.#partialBytes);
    this.#partialBytes = 0;
    this.#read(rest);
    if (this.isHalfClosed) this.halfClose();
  }

  /** The peer sends no more. */
  halfClose(): void {
    if (this.ending !== undefined || this.#isInflating) return;
    if (this.#partialBytes > 0) this.fail(STATUS.internal, "the stream ends inside of a message");
    else this.listener?.halfClosed();
  }

  #read(bytes: Buffer): void {
    let rest = bytes;
    while (rest.length > 0 && this.ending === undefined) {
      if (this.#isInflating) {
        this.#keep(rest, rest.length);
        return;
      }
      const messageBytes = this.#messageBytes(rest);
      if (messageBytes === undefined) return;
      const end = PREFIX_BYTES + messageBytes;
      if (rest.length < end) {
        this.#keep(rest, end);
        return;
      }
      this.#messages += 1;
      const message = rest.subarray(PREFIX_BYTES, end);
      if (rest[0] === 0) this.listener?.message(message);
      else {
        this.#isInflating = true;
        this.#parts.inflate(this, message);
      }
      rest = rest.subarray(end);
    }
    this.#partial = NOTHING;
  }

  /** Of the message that begins here; undefined when that is not known, or it is refused. */
  #messageBytes(bytes: Buffer): number | undefined {
    const flag = bytes[0] ?? 0;
    if (flag > 1) {
      this.fail(STATUS.internal, `a message begins with ${flag}, which is no flag of gRPC`);
      return undefined;
    }
    if (bytes.length < PREFIX_BYTES) {
      this.#keep(bytes, PREFIX_BYTES);
      return undefined;
    }
    const messageBytes = bytes.readUInt32BE(1);
    const { maxMessageBytes } = this.#parts;
    if (messageBytes <= maxMessageBytes) return messageBytes;
    this.#end(tooLarge(maxMessageBytes, messageBytes));
    return undefined;
  }

  /** Room grows with what has come, not with what a prefix announces. */
  #keep(bytes: Buffer, wantedBytes: number): void {
    // A message of many small frames is not copied onto itself for each, and none onto one before it,
    // which is its listener's.
    const isOfPartial = bytes.buffer === this.#partial.buffer;
    const isThere = isOfPartial && bytes.byteOffset === 0;
    if (!isThere && (isOfPartial || this.#partial.length < bytes.length)) {
      const room = Math.min(wantedBytes, Math.max(2 * bytes.length, 1024));
      this.#partial = Buffer.allocUnsafeSlow(Math.max(room, bytes.length));
    }
    if (!isThere) this.#partial.set(bytes);
    this.#partialBytes = bytes.length;
  }

  #join(payload: Buffer): Buffer {
    const bytes = this.#partialBytes + payload.length;
    let joined = this.#partial;
    if (joined.length < bytes) {
      joined = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * joined.length));
      joined.set(this.#partial.subarray(0, this.#partialBytes));
    }
    joined.set(payload, this.#partialBytes);
    this.#partial = joined;
    this.#partialBytes = 0;
    return joined.subarray(0, bytes);
  }
}
