const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;

/** Every one of them is a double, and so is every integer of as many digits. */
const POWERS_OF_TEN = Array.from({ length: 16 }, (_, power) => 10 ** power);
const MAX_EXACT_DIGITS = 15;

/** Reads the numbers of a JSON text (RFC 8259 section 6) from its bytes. */
export class NumberReader {
  /** As a double. */
  value = NaN;
  /** Where the number ends. */
  end = 0;
  /** No fraction, no exponent, and more digits than a double holds: `integer` has it exactly. */
  isLong = false;
  readonly #text: Buffer;
  #start = 0;

  constructor(text: Buffer) {
    this.#text = text;
  }

  /** False: there is no number at `start`. */
  read(start: number): boolean {
    this.#start = start;
    const text = this.#text;
    const isNegative = text[start] === MINUS;
    const first = isNegative ? start + 1 : start;
    let mantissa = 0;
    let at = first;
    for (let digit = this.#digit(at); digit >= 0; digit = this.#digit(at)) {
      mantissa = mantissa * 10 + digit;
      at += 1;
    }
    const whole = at - first;
    if (whole === 0 || (whole > 1 && text[first] === ZERO)) return false;
    let decimals = 0;
    if (text[at] === DOT) {
      const point = at;
      at += 1;
      for (let digit = this.#digit(at); digit >= 0; digit = this.#digit(at)) {
        mantissa = mantissa * 10 + digit;
        at += 1;
      }
      decimals = at - point - 1;
      if (decimals === 0) return false;
    }
    const exponentEnd = this.#exponentEnd(at);
    if (exponentEnd === -1) return false;
    const isShort = exponentEnd === at && whole + decimals <= MAX_EXACT_DIGITS;
    // Of two exact doubles the quotient is rounded once, as it should be (Clinger 1990).
    const magnitude = isShort ? mantissa / (POWERS_OF_TEN[decimals] ?? NaN) : NaN;
    this.end = exponentEnd;
    this.isLong = !isShort && decimals === 0 && exponentEnd === at;
    if (isShort) this.value = isNegative ? -magnitude : magnitude;
    else this.value = Number(this.text());
    return true;
  }

  /** The number as it is written. */
  text(): string {
    return this.#text.toString("latin1", this.#start, this.end);
  }

  /** `at` when there is no exponent; -1 when there is half of one. */
  #exponentEnd(at: number): number {
    const mark = this.#text[at];
    if (mark !== 0x65 && mark !== 0x45) return at;
    const sign = this.#text[at + 1];
    const first = sign === MINUS || sign === PLUS ? at + 2 : at + 1;
    let end = first;
    while (this.#digit(end) >= 0) end += 1;
    return end === first ? -1 : end;
  }

  #digit(at: number): number {
    const digit = (this.#text[at] ?? 0) - ZERO;
    return digit <= 9 ? digit : -1;
  }
}
