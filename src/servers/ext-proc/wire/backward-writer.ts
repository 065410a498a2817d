import { charCodeOf } from "../../../core/char-code.js";

const FIRST_BYTES = 4096;

/**
 * Writes protobuf from its end to its beginning: the length before a field is known, and is written,
 * when the field has been. One buffer serves every message, so a result is valid until the next.
 */
export class BackwardWriter {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #at = FIRST_BYTES;

  start(): void {
    this.#at = this.#bytes.length;
  }

  /** Marks the end of a field whose parts are written next. */
  get written(): number {
    return this.#bytes.length - this.#at;
  }

  finish(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[--this.#at] = value;
  }

  text(text: string): void {
    const { length } = text;
    this.#room(length);
    const bytes = this.#bytes;
    let to = this.#at;
    for (let at = length - 1; at >= 0; at--) {
      const code = charCodeOf(text, at);
      if (code >= 0x80) {
        this.#utf8(text);
        return;
      }
      bytes[--to] = code;
    }
    this.#at = to;
  }

  /** The tag and the length of a field, in front of what was written since the mark. */
  field(tag: number, mark: number): void {
    const length = this.written - mark;
    if (length < 0x80) this.byte(length);
    else this.#varint(length);
    this.byte(tag);
  }

  textField(tag: number, text: string): void {
    const mark = this.written;
    this.text(text);
    this.field(tag, mark);
  }

  #utf8(text: string): void {
    const bytes = Buffer.from(text);
    this.#room(bytes.length);
    this.#at -= bytes.length;
    this.#bytes.set(bytes, this.#at);
  }

  #varint(value: number): void {
    const groups: number[] = [];
    for (let rest = value; rest > 0; rest >>>= 7) groups.push(rest & 0x7f);
    groups.reverse().forEach((group, index) => {
      this.byte(index === 0 ? group : group | 0x80);
    });
  }

  #room(count: number): void {
    if (this.#at >= count) return;
    const { written } = this;
    const larger = Buffer.allocUnsafeSlow(2 * (written + count));
    larger.set(this.finish(), larger.length - written);
    this.#bytes = larger;
    this.#at = larger.length - written;
  }
}
