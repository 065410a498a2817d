import type { HeaderView } from "../../../core/routing/facts.js";
import type { SideStream, SideStreamListener } from "../side-stream.js";
import { PREFIX_BYTES, STATUS } from "./grpc.js";
import { viewOf, type RequestHead } from "./request-head.js";

/** grpc-js and grpc-go take this much too. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const NOTHING = Buffer.alloc(0);

/** Where a stream's frames go; windows.ts says how many bytes may. */
export type StreamOutput = {
  /** False: the windows do not take it whole now, and `queue` has to. */
  sendWhole(stream: GrpcStream, message: Buffer): boolean;
  queue(stream: GrpcStream, message: Buffer): void;
  finish(stream: GrpcStream, code: number, details: string): void;
};

/**
 * One gRPC stream of a connection: joins the pieces of messages, which may be cut and joined
 * anywhere, and holds what the windows do not let out yet.
 */
export class GrpcStream implements SideStream {
  readonly id: number;
  readonly #head: RequestHead;
  readonly #output: StreamOutput;
  listener: SideStreamListener | undefined;
  /** Bytes that the peer takes now; may be negative (RFC 9113, 6.9.2). */
  sendWindow: number;
  receiveWindow: number;
  /** Framed messages that wait for a window. */
  queued: Buffer[] = [];
  /** How it ends once they are sent. */
  ending: { readonly code: number; readonly details: string } | undefined;
  isHeadSent = false;
  isHalfClosed = false;
  timer: NodeJS.Timeout | undefined;
  #partial: Buffer = NOTHING;
  #partialBytes = 0;

  constructor(
    id: number,
    head: RequestHead,
    output: StreamOutput,
    windows: { readonly send: number; readonly receive: number },
  ) {
    this.id = id;
    this.#head = head;
    this.#output = output;
    this.sendWindow = windows.send;
    this.receiveWindow = windows.receive;
  }

  get metadata(): HeaderView {
    return viewOf(this.#head);
  }

  /** Of a message that has not come whole. */
  get heldBytes(): number {
    return this.#partialBytes;
  }

  send(message: Buffer): void {
    if (this.ending !== undefined) return;
    const isSent = this.queued.length === 0 && this.#output.sendWhole(this, message);
    if (!isSent) this.#output.queue(this, message);
  }

  end(): void {
    this.fail(STATUS.ok, "");
  }

  fail(code: number, details: string): void {
    if (this.ending !== undefined) return;
    this.ending = { code, details };
    this.#output.finish(this, code, details);
  }

  /** Takes the payload of one DATA frame. */
  receive(payload: Buffer): void {
    let rest = payload;
    if (this.#partialBytes > 0) rest = this.#join(payload);
    while (rest.length > 0 && this.ending === undefined) {
      const messageBytes = this.#messageBytes(rest);
      if (messageBytes === undefined) return;
      const end = PREFIX_BYTES + messageBytes;
      if (rest.length < end) {
        this.#keep(rest, end);
        return;
      }
      this.listener?.message(rest.subarray(PREFIX_BYTES, end));
      rest = rest.subarray(end);
    }
    this.#partial = NOTHING;
  }

  /** The peer sends no more. */
  halfClose(): void {
    if (this.ending !== undefined) return;
    if (this.#partialBytes > 0) this.fail(STATUS.internal, "the stream ends inside of a message");
    else this.listener?.halfClosed();
  }

  /** Of the message that begins here; undefined when that is not known, or it is refused. */
  #messageBytes(bytes: Buffer): number | undefined {
    if (bytes[0] !== 0) {
      this.fail(STATUS.unimplemented, "a message is compressed; send them as they are (identity)");
      return undefined;
    }
    if (bytes.length < PREFIX_BYTES) {
      this.#keep(bytes, PREFIX_BYTES);
      return undefined;
    }
    const messageBytes = bytes.readUInt32BE(1);
    if (messageBytes <= MAX_MESSAGE_BYTES) return messageBytes;
    const details = `a message of ${messageBytes} bytes is over ${MAX_MESSAGE_BYTES}`;
    this.fail(STATUS.resourceExhausted, details);
    return undefined;
  }

  /** Room grows with what has come, not with what a prefix announces. */
  #keep(bytes: Buffer, wantedBytes: number): void {
    if (this.#partial.length < bytes.length) {
      const room = Math.min(wantedBytes, Math.max(2 * bytes.length, 1024));
      this.#partial = Buffer.allocUnsafeSlow(Math.max(room, bytes.length));
    }
    // A message of many small frames is not copied onto itself for each.
    const isThere = bytes.buffer === this.#partial.buffer && bytes.byteOffset === 0;
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
