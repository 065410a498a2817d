/** Marks a quoted integer; no BYTES element may hold NUL, so none can look like one. */
const MARK = "\0int:";

/**
 * An integer of 16 to 20 digits, where a value may stand, that is no start of a fraction. A longer
 * one is beyond every integer datatype, and as a double it is refused as such.
 */
const LONG_INTEGER = /(?<=[[,:\s]|^)-?[1-9]\d{15,19}(?=[\s,\]}]|$)/g;

/**
 * JSON.parse, but integers that a double would round come out as exact BigInt by `exactInteger`:
 * an INT64 of 2^53 + 1 must not become its neighbour.
 */
export function parseExactJson(text: string): unknown {
  const parts: string[] = [];
  let copied = 0;
  const strings = new Strings(text);
  for (const { 0: integer, index } of text.matchAll(LONG_INTEGER)) {
    if (strings.hold(index)) continue;
    parts.push(text.slice(copied, index), JSON.stringify(MARK + integer));
    copied = index + integer.length;
  }
  return JSON.parse(parts.length === 0 ? text : parts.join("") + text.slice(copied));
}

/** The integer that a value of parseExactJson stands for; undefined if it is none. */
export function exactInteger(value: unknown): bigint | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  const marked = typeof value === "string" && value.startsWith(MARK);
  return marked ? BigInt(value.slice(MARK.length)) : undefined;
}

/**
 * Where the strings of a JSON text are. Reads it once, whatever it holds: a regular expression for
 * strings takes quadratic time on one that never ends.
 */
class Strings {
  readonly #text: string;
  #start = 0;
  #end = 0;

  constructor(text: string) {
    this.#text = text;
    this.#start = this.#quoteFrom(0);
    this.#end = this.#endOf(this.#start);
  }

  /** Whether a string holds the character; ask in ascending order. */
  hold(index: number): boolean {
    while (this.#end <= index) {
      this.#start = this.#quoteFrom(this.#end);
      this.#end = this.#endOf(this.#start);
    }
    return this.#start < index;
  }

  #endOf(start: number): number {
    let end = this.#quoteFrom(start + 1);
    while (end !== Infinity && this.#isEscaped(end)) end = this.#quoteFrom(end + 1);
    return end + 1;
  }

  #isEscaped(index: number): boolean {
    let first = index;
    while (this.#text[first - 1] === "\\") first--;
    return (index - first) % 2 === 1;
  }

  #quoteFrom(index: number): number {
    const at = this.#text.indexOf('"', index);
    return at === -1 ? Infinity : at;
  }
}
