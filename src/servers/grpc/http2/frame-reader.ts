import { CODE, Http2Error } from "./error.js";
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from "./frames.js";

/** RFC 9113, 3.4: how every client begins. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const NOTHING = Buffer.alloc(0);

export type OnFrame = (type: number, flags: number, streamId: number, payload: Buffer) => void;

/** Cuts what a socket brings into frames. */
export class FrameReader {
  /** A frame, or a preface, that has not come whole: shorter than one frame may be. */
  #rest: Buffer = NOTHING;
  #hasPreface = false;

  read(chunk: Buffer, onFrame: OnFrame): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = this.#hasPreface ? 0 : this.#preface(bytes);
    while (this.#hasPreface && bytes.length - at >= FRAME_HEADER_BYTES) {
      const payloadBytes = bytes.readUIntBE(at, 3);
      if (payloadBytes > MAX_FRAME_BYTES) {
        const message = `a frame of ${payloadBytes} bytes is over ${MAX_FRAME_BYTES}`;
        throw new Http2Error(CODE.frameSizeError, message);
      }
      const from = at + FRAME_HEADER_BYTES;
      const end = from + payloadBytes;
      if (end > bytes.length) break;
      const streamId = bytes.readUInt32BE(at + 5) & 0x7fffffff;
      onFrame(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, streamId, bytes.subarray(from, end));
      at = end;
    }
    // A copy, or a slow peer's few bytes would keep the whole chunk.
    this.#rest = at === bytes.length ? NOTHING : Buffer.from(bytes.subarray(at));
  }

  #preface(bytes: Buffer): number {
    const length = Math.min(bytes.length, PREFACE.length);
    if (PREFACE.compare(bytes, 0, length, 0, length) !== 0) {
      throw new Http2Error(CODE.protocolError, "the peer does not speak HTTP/2 without TLS");
    }
    this.#hasPreface = length === PREFACE.length;
    return this.#hasPreface ? length : 0;
  }
}
