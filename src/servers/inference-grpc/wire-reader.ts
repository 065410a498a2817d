import { isUtf8 } from "node:buffer";
import { ServiceError } from "../../core/error.js";

/** Wire types of https://protobuf.dev/programming-guides/encoding. */
export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
const START_GROUP = 3;
const END_GROUP = 4;
export const FIXED32 = 5;

/** A field's number and wire type, as they stand before its value. */
export const tagOf = (field: number, wireType: number) => (field << 3) | wireType;

/**
 * Reads a protobuf message from its bytes, and copies none of them. Requests with tensors go through
 * it and not through proto-loader, which would make a list of numbers of every tensor, and of a
 * 64-bit integer a string or a number that is not exact.
 */
export class WireReader {
  /** Of the field that `next` came to. A known field in another wire type is an unknown field. */
  tag = 0;
  /** The two halves of the last varint. */
  low = 0;
  high = 0;
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Comes to the next field; false at the end of the message. */
  next(): boolean {
    if (this.at >= this.#bytes.length) return false;
    this.varint();
    this.tag = this.low;
    if (this.high !== 0 || this.tag >>> 3 === 0) throw malformed("a field has no number");
    return true;
  }

  varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.at];
      if (byte === undefined) throw malformed("it ends within a number");
      this.at += 1;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        return;
      }
    }
    throw malformed("a number has more than ten bytes");
  }

  bool(): boolean {
    this.varint();
    return (this.low | this.high) !== 0;
  }

  /** Exact up to 2^53; beyond, near enough to be refused. */
  int64(): number {
    this.varint();
    return (this.high | 0) * 2 ** 32 + this.low;
  }

  uint64(): number {
    this.varint();
    return this.high * 2 ** 32 + this.low;
  }

  double(): number {
    this.#move(8);
    return this.#bytes.readDoubleLE(this.at - 8);
  }

  /** The bytes of a string, message or list, in place. */
  bytes(): Buffer {
    this.pass(LENGTH);
    return this.#bytes.subarray(this.at - this.low, this.at);
  }

  string(): string {
    const bytes = this.bytes();
    if (!isUtf8(bytes)) throw malformed("a string is not UTF-8");
    return bytes.toString("utf8");
  }

  /** Passes over the value of a field that means nothing here. */
  skip(): void {
    let depth = 0;
    do {
      const wireType = this.tag & 7;
      if (wireType === START_GROUP) depth += 1;
      else if (wireType === END_GROUP && depth > 0) depth -= 1;
      else this.pass(wireType);
      if (depth > 0 && !this.next()) throw malformed("it ends within a group");
    } while (depth > 0);
  }

  /** Passes over one value; after a LENGTH, `low` is its length. */
  pass(wireType: number): void {
    if (wireType === VARINT) this.varint();
    else if (wireType === FIXED64) this.#move(8);
    else if (wireType === FIXED32) this.#move(4);
    else if (wireType === LENGTH) {
      this.varint();
      this.#move(this.high === 0 ? this.low : Infinity);
    } else throw malformed("a field has an unknown wire type");
  }

  #move(length: number): void {
    this.at += length;
    if (this.at > this.#bytes.length) throw malformed("a field is longer than the message");
  }
}

export function malformed(because: string): ServiceError {
  return new ServiceError("badRequest", `this is no protobuf message: ${because}`);
}
