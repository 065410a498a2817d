import type { Socket } from "node:net";

/** RFC 9113, section 6. */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const FLAG = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 32 } as const;
export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

export const FRAME_HEADER_BYTES = 9;
export const MAX_WINDOW = 2 ** 31 - 1;
/** The least that a peer may bound frames to, and what we bound them to. */
export const MAX_FRAME_BYTES = 16_384;

const FIRST_BYTES = 4096;

/** What may wait in a socket for its peer to read. */
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;

/** More than the answers of one turn take, unless they are large. */
const KEPT_BYTES = 65_536;

/**
 * Gathers frames and sends them in one piece: a read of the socket brings many requests under load,
 * a batch as many answers, and one write for all of them costs what one for each would.
 */
export class FrameOutput {
  readonly #socket: Socket;
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #length = 0;
  #isHeld = false;
  #isDue = false;
  #isFull = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /**
   * Bytes of DATA that may be written now. Once there is no room, there is none until the socket has
   * drained, or those that wait for that would be overtaken for ever.
   */
  get room(): number {
    const room = MAX_UNSENT_BYTES - this.#length - this.#socket.writableLength;
    if (room <= 0) this.#isFull = true;
    return this.#isFull ? 0 : room;
  }

  /** More than room for DATA lets happen: a peer asks for other frames, and takes none. */
  get isOverfull(): boolean {
    return this.#socket.writableLength > MAX_UNSENT_BYTES;
  }

  drained(): void {
    this.#isFull = false;
  }

  /** The header of a frame whose payload is written next. */
  frame(payloadBytes: number, type: number, flags: number, streamId: number): void {
    const at = this.#grow(FRAME_HEADER_BYTES + payloadBytes);
    const bytes = this.#bytes;
    bytes[at] = payloadBytes >>> 16;
    bytes[at + 1] = payloadBytes >>> 8;
    bytes[at + 2] = payloadBytes;
    bytes[at + 3] = type;
    bytes[at + 4] = flags;
    bytes.writeUInt32BE(streamId, at + 5);
    this.#length = at + FRAME_HEADER_BYTES;
  }

  payload(payload: Uint8Array): void {
    this.#bytes.set(payload, this.#grow(payload.length));
    this.#length += payload.length;
  }

  byte(value: number): void {
    this.#bytes[this.#grow(1)] = value;
    this.#length += 1;
  }

  uint16(value: number): void {
    this.#length = this.#bytes.writeUInt16BE(value, this.#grow(2));
  }

  uint32(value: number): void {
    this.#length = this.#bytes.writeUInt32BE(value, this.#grow(4));
  }

  /** A header block in one frame: ours are far shorter than any peer may bound frames to. */
  fields(block: Uint8Array, flags: number, streamId: number): void {
    this.frame(block.length, FRAME.headers, FLAG.endHeaders | flags, streamId);
    this.payload(block);
  }

  reset(streamId: number, code: number): void {
    this.frame(4, FRAME.rstStream, 0, streamId);
    this.uint32(code);
  }

  settings(values: readonly (readonly [setting: number, value: number])[]): void {
    this.frame(6 * values.length, FRAME.settings, 0, 0);
    for (const [setting, value] of values) {
      this.uint16(setting);
      this.uint32(value);
    }
  }

  ping(payload: Uint8Array, flags: number): void {
    this.frame(payload.length, FRAME.ping, flags, 0);
    this.payload(payload);
  }

  goaway(lastId: number, code: number): void {
    this.frame(8, FRAME.goaway, 0, 0);
    this.uint32(lastId);
    this.uint32(code);
  }

  /** Lets the peer send so many bytes more. */
  widen(streamId: number, increment: number): void {
    this.frame(4, FRAME.windowUpdate, 0, streamId);
    this.uint32(increment);
  }

  /** Runs what answers a read; what it writes leaves together when it is done. */
  together(write: () => void): void {
    this.#isHeld = true;
    try {
      write();
    } finally {
      this.#isHeld = false;
      this.#flush();
    }
  }

  /** To be called behind every piece of work: sends it at the end of `together`, or of this turn. */
  settle(): void {
    if (this.#isHeld || this.#isDue) return;
    this.#isDue = true;
    process.nextTick(this.#flushDue);
  }

  readonly #flushDue = (): void => {
    this.#isDue = false;
    this.#flush();
  };

  /** Sends what is written, and nothing after it. */
  end(): void {
    this.#flush();
    this.#socket.end();
  }

  /** The same, and does not wait for the peer's end. */
  cut(): void {
    this.#flush();
    this.#socket.destroySoon();
  }

  #flush(): void {
    if (this.#length === 0) return;
    const bytes = this.#taken();
    this.#length = 0;
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  /** The kernel may take them later, when ours are filled again. */
  #taken(): Buffer {
    const written = this.#bytes.subarray(0, this.#length);
    if (this.#bytes.length <= KEPT_BYTES) return Buffer.from(written);
    this.#bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
    return written;
  }

  #grow(count: number): number {
    const needed = this.#length + count;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    return this.#length;
  }
}
