import { FIXED64, LENGTH, tagOf, VARINT } from "./wire-reader.js";

/** Writes a protobuf message. `expectedBytes` spares growing; more are taken as they come. */
export class WireWriter {
  #buffer: Buffer;
  #at = 0;

  constructor(expectedBytes: number) {
    this.#buffer = Buffer.allocUnsafe(expectedBytes);
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  /** Of up to 64 bits, in two halves. */
  varint(low: number, high = 0): void {
    this.#reserve(10);
    let [rest, upper] = [low >>> 0, high >>> 0];
    while (upper !== 0 || rest >= 0x80) {
      this.#buffer[this.#at++] = (rest & 0x7f) | 0x80;
      rest = ((rest >>> 7) | (upper << 25)) >>> 0;
      upper >>>= 7;
    }
    this.#buffer[this.#at++] = rest;
  }

  bool(field: number, value: boolean): void {
    this.varint(tagOf(field, VARINT));
    this.varint(value ? 1 : 0);
  }

  double(field: number, value: number): void {
    this.varint(tagOf(field, FIXED64));
    this.#reserve(8);
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
  }

  /** Also where it is empty: absent and empty differ in a repeated field. */
  string(field: number, text: string): void {
    const length = Buffer.byteLength(text);
    this.varint(tagOf(field, LENGTH));
    this.varint(length);
    this.#reserve(length);
    this.#at += this.#buffer.write(text, this.#at, length, "utf8");
  }

  bytes(field: number, bytes: Uint8Array): void {
    this.varint(tagOf(field, LENGTH));
    this.varint(bytes.length);
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** What `write` writes, as a message or packed list. Its length is known only afterwards. */
  nested(field: number, write: () => void): void {
    this.varint(tagOf(field, LENGTH));
    this.#reserve(1);
    const start = this.#at + 1;
    this.#at = start;
    write();
    const length = this.#at - start;
    this.#at = start - 1;
    const moved = varintBytes(length) - 1;
    if (moved > 0) {
      this.#at = start + length;
      this.#reserve(moved);
      this.#buffer.copyWithin(start + moved, start, start + length);
      this.#at = start - 1;
    }
    this.varint(length);
    this.#at = start + moved + length;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}
