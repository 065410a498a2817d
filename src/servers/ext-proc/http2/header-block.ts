import { CODE, Http2Error } from "./error.js";
import { MAX_FIELD_BYTES } from "./limits.js";

/** Fields over their bound cost their stream, a block over this one the connection. */
const MAX_BLOCK_BYTES = 4 * MAX_FIELD_BYTES;
/** Each part counts, or an endless block could be of empty ones (CVE-2024-27316). */
const PART_OVERHEAD = 64;

/** A header block that came in part: nothing else may come before its end (RFC 9113, 4.3). */
export class HeaderBlock {
  readonly streamId: number;
  readonly isLastOfStream: boolean;
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  constructor(streamId: number, isLastOfStream: boolean, first: Buffer) {
    this.streamId = streamId;
    this.isLastOfStream = isLastOfStream;
    this.add(first);
  }

  add(part: Buffer): void {
    this.#bytes += part.length + PART_OVERHEAD;
    if (this.#bytes > MAX_BLOCK_BYTES) {
      throw new Http2Error(CODE.enhanceYourCalm, `a header block is over ${MAX_BLOCK_BYTES} bytes`);
    }
    // A copy, or few bytes would keep a whole read.
    this.#parts.push(Buffer.from(part));
  }

  whole(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
