/** Where the values of a JSON text end, found in its bytes. Reads each byte once, whatever it holds. */

const SPACE = new Set([0x20, 0x0a, 0x0d, 0x09]);
export const QUOTE = 0x22;
const BACKSLASH = 0x5c;
export const OPEN_LIST = 0x5b;
export const CLOSE_LIST = 0x5d;
export const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const COMMA = 0x2c;
const COLON = 0x3a;

/** The first byte from `at` on that is no white space. */
export function afterSpace(text: Buffer, at: number): number {
  let next = at;
  while (SPACE.has(text[next] ?? 0)) next += 1;
  return next;
}

/** The end of the string whose quote is at `start`; of one that never ends, that of the text. */
export function stringEnd(text: Buffer, start: number): number {
  let quote = text.indexOf(QUOTE, start + 1);
  while (quote !== -1 && isEscaped(text, quote)) quote = text.indexOf(QUOTE, quote + 1);
  return quote === -1 ? text.length : quote + 1;
}

function isEscaped(text: Buffer, at: number): boolean {
  let first = at;
  while (text[first - 1] === BACKSLASH) first -= 1;
  return (at - first) % 2 === 1;
}

/** The end of the value at `start`. What is in it need not be JSON. */
export function valueEnd(text: Buffer, start: number): number {
  const opening = text[start];
  if (opening === QUOTE) return stringEnd(text, start);
  if (opening !== OPEN_LIST && opening !== OPEN_OBJECT) return literalEnd(text, start);
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const byte = text[at];
    if (byte === QUOTE) at = stringEnd(text, at) - 1;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) depth += 1;
    else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth -= 1;
    if (depth === 0) return at + 1;
  }
  return text.length;
}

function literalEnd(text: Buffer, start: number): number {
  let at = start;
  for (; at < text.length; at += 1) {
    const byte = text[at] ?? 0;
    if (SPACE.has(byte) || byte === COMMA || byte === CLOSE_LIST || byte === CLOSE_OBJECT) break;
  }
  return at;
}

/**
 * Visits the members of the object at `start`; `visit` answers where the value ends.
 *
 * @returns the end of the object, or of the text where it is no JSON
 */
export function eachMember(
  text: Buffer,
  start: number,
  visit: (key: string, value: number) => number,
): number {
  let at = afterSpace(text, start + 1);
  while (text[at] === QUOTE) {
    const keyEnd = stringEnd(text, at);
    const colon = afterSpace(text, keyEnd);
    if (text[colon] !== COLON) return text.length;
    at = afterSpace(text, visit(keyOf(text, at, keyEnd), afterSpace(text, colon + 1)));
    if (text[at] !== COMMA) break;
    at = afterSpace(text, at + 1);
  }
  return text[at] === CLOSE_OBJECT ? at + 1 : text.length;
}

/** As eachMember, of the list at `start`. */
export function eachItem(
  text: Buffer,
  start: number,
  visit: (index: number, value: number) => number,
): number {
  let at = afterSpace(text, start + 1);
  for (let index = 0; at < text.length && text[at] !== CLOSE_LIST; index += 1) {
    at = afterSpace(text, visit(index, at));
    if (text[at] !== COMMA) break;
    at = afterSpace(text, at + 1);
  }
  return text[at] === CLOSE_LIST ? at + 1 : text.length;
}

/** Keys with escapes are keys all the same. */
function keyOf(text: Buffer, start: number, end: number): string {
  const quoted = text.toString("utf8", start, end);
  if (!quoted.includes("\\")) return quoted.slice(1, -1);
  try {
    return String(JSON.parse(quoted));
  } catch {
    return "";
  }
}

export const isComma = (byte: number | undefined) => byte === COMMA;
