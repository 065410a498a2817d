import { CODE, Http2Error } from "./error.js";
import { fragmentOf, protocolError } from "./frame-shape.js";
import { FLAG, FRAME } from "./frames.js";
import { FieldDecoder, type FieldBlock } from "./hpack.js";
import { MAX_FIELD_BYTES } from "./limits.js";

/** Fields over their bound cost their stream, a block over this one the connection. */
const MAX_BLOCK_BYTES = 4 * MAX_FIELD_BYTES;
/** Each part counts, or an endless block could be of empty ones (CVE-2024-27316). */
const PART_OVERHEAD = 64;

/** The fields that open a stream, or end what its peer sends. */
export type HeaderBlock = FieldBlock & { readonly streamId: number; readonly isLast: boolean };

/** Joins header blocks, which may come in parts, and decodes them. */
export class HeaderReader {
  readonly #decoder = new FieldDecoder(MAX_FIELD_BYTES);
  #begun: BegunBlock | undefined;

  /** A block that has come in part has to be continued at once (RFC 9113, 4.3). */
  requireNext(type: number, streamId: number): void {
    const begun = this.#begun;
    if (begun === undefined) return;
    if (type === FRAME.continuation && streamId === begun.streamId) return;
    throw protocolError("a header block is not continued");
  }

  /** Takes a HEADERS frame; undefined: the block goes on. */
  begin(streamId: number, flags: number, payload: Buffer): HeaderBlock | undefined {
    const fragment = fragmentOf(payload, flags);
    const isLast = (flags & FLAG.endStream) !== 0;
    if ((flags & FLAG.endHeaders) !== 0) return this.#whole(streamId, isLast, fragment);
    this.#begun = new BegunBlock(streamId, isLast, fragment);
    return undefined;
  }

  /** Takes a CONTINUATION frame; undefined: the block goes on. */
  resume(flags: number, payload: Buffer): HeaderBlock | undefined {
    const begun = this.#begun;
    if (begun === undefined) throw protocolError("CONTINUATION of nothing");
    begun.add(payload);
    if ((flags & FLAG.endHeaders) === 0) return undefined;
    this.#begun = undefined;
    return this.#whole(begun.streamId, begun.isLast, begun.whole());
  }

  #whole(streamId: number, isLast: boolean, bytes: Buffer): HeaderBlock {
    const { fields, isTooLarge } = this.#decoder.decode(bytes);
    return { streamId, isLast, fields, isTooLarge };
  }
}

class BegunBlock {
  readonly streamId: number;
  readonly isLast: boolean;
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  constructor(streamId: number, isLast: boolean, first: Buffer) {
    this.streamId = streamId;
    this.isLast = isLast;
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
