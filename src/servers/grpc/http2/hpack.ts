import { CODE, Http2Error } from "./error.js";
import { huffmanDecode } from "./huffman.js";
import { STATIC_TABLE } from "./static-table.js";

/** A header field as the tables hold it. Malformed ones are kept: they have an index too. */
export type Field = {
  readonly name: string;
  readonly value: string;
  readonly isMalformed: boolean;
};

/** RFC 7541, 4.1: what a field counts beyond its octets. */
const FIELD_OVERHEAD = 32;
/** RFC 9113, 6.5.2; we do not change it. */
const TABLE_BYTES = 4096;
/** No string of a block can be longer than the block, and Huffman codes grow by 8/5 at most. */
const GROWTH = 2;

/** RFC 9113, 8.2.1: lower-case tokens; a colon only in front. */
const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const NOT_IN_VALUE = /[\0\r\n]/;

/** The fields of one block; what is over the bound is decoded, because it changes the table, and dropped. */
export type FieldBlock = { readonly fields: readonly Field[]; readonly isTooLarge: boolean };

/** Reads header blocks (RFC 7541). One per connection: each block depends on those before it. */
export class FieldDecoder {
  readonly #maxBytes: number;
  /** Oldest first; those before `#oldest` are evicted. */
  #table: Field[] = [];
  #oldest = 0;
  #tableBytes = 0;
  #tableBound = TABLE_BYTES;
  #block: Buffer = Buffer.alloc(0);
  #at = 0;
  #scratch: Buffer = Buffer.alloc(0);

  /** @param maxBytes  of the fields of one block, counted as in RFC 9113, 6.5.2 */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  decode(block: Buffer): FieldBlock {
    this.#block = block;
    this.#at = 0;
    const fields: Field[] = [];
    let bytes = 0;
    while (this.#at < block.length) {
      const field = this.#next(fields.length === 0);
      if (field === undefined) continue;
      bytes += sizeOf(field);
      if (bytes <= this.#maxBytes) fields.push(field);
    }
    return { fields, isTooLarge: bytes > this.#maxBytes };
  }

  /** Undefined: it was a new size of the table. */
  #next(isFirst: boolean): Field | undefined {
    const byte = this.#block[this.#at] ?? 0;
    if (byte >= 0x80) return this.#indexed(this.#integer(7));
    if (byte >= 0x40) {
      const field = this.#literal(this.#integer(6));
      this.#add(field);
      return field;
    }
    if (byte >= 0x20) {
      this.#resize(this.#integer(5), isFirst);
      return undefined;
    }
    return this.#literal(this.#integer(4));
  }

  #indexed(index: number): Field {
    const field =
      index <= STATIC_TABLE.length
        ? STATIC_TABLE[index - 1]
        : this.#table[this.#table.length - (index - STATIC_TABLE.length)];
    const isEvicted = index - STATIC_TABLE.length > this.#table.length - this.#oldest;
    if (field === undefined || isEvicted) throw malformed(`no field has index ${index}`);
    return field;
  }

  #literal(nameIndex: number): Field {
    if (nameIndex > 0) {
      const { name, isMalformed } = this.#indexed(nameIndex);
      const value = this.#string();
      // The static table's own fields are well formed, and a field with a bad value taints no name.
      const isNameBad = isMalformed && !NAME.test(name);
      return { name, value, isMalformed: isNameBad || NOT_IN_VALUE.test(value) };
    }
    const name = this.#string();
    const value = this.#string();
    return { name, value, isMalformed: !NAME.test(name) || NOT_IN_VALUE.test(value) };
  }

  #add(field: Field): void {
    this.#table.push(field);
    this.#tableBytes += sizeOf(field);
    this.#evict();
  }

  #resize(bound: number, isFirst: boolean): void {
    if (!isFirst) throw malformed("the table's size changes inside of a block");
    if (bound > TABLE_BYTES) throw malformed(`a table of ${bound} bytes is over ${TABLE_BYTES}`);
    this.#tableBound = bound;
    this.#evict();
  }

  #evict(): void {
    while (this.#tableBytes > this.#tableBound) {
      const field = this.#table[this.#oldest];
      if (field === undefined) break;
      this.#tableBytes -= sizeOf(field);
      this.#oldest += 1;
    }
    // Evicted fields are let go of in batches, which costs less than a shift for each.
    if (this.#oldest > 64 || this.#tableBytes === 0) {
      this.#table = this.#table.slice(this.#oldest);
      this.#oldest = 0;
    }
  }

  /** RFC 7541, 5.1: in the lower bits of the next byte, and in more bytes when these are all ones. */
  #integer(prefixBits: number): number {
    const prefix = (1 << prefixBits) - 1;
    let value = this.#byte() & prefix;
    if (value < prefix) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw malformed("an integer has more than 28 bits");
  }

  #string(): string {
    const isHuffman = (this.#block[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(7);
    const from = this.#at;
    this.#at += length;
    if (this.#at > this.#block.length) throw malformed("a string is longer than its block");
    if (!isHuffman) return this.#block.toString("latin1", from, this.#at);
    if (this.#scratch.length < GROWTH * length) this.#scratch = Buffer.allocUnsafe(GROWTH * length);
    const decoded = huffmanDecode(this.#block, from, this.#at, this.#scratch);
    return this.#scratch.toString("latin1", 0, decoded);
  }

  #byte(): number {
    const byte = this.#block[this.#at++];
    if (byte === undefined) throw malformed("a block ends inside of a field");
    return byte;
  }
}

const sizeOf = ({ name, value }: Field) => name.length + value.length + FIELD_OVERHEAD;

const malformed = (what: string) =>
  new Http2Error(CODE.compressionError, `malformed header block: ${what} (RFC 7541)`);
