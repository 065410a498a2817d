import type { Source } from "../../schema/unit.js";
import type { HeaderView } from "../routing/facts.js";

/** Longest unit id, in UTF-16 code units: longer ones are garbage or an attack. */
export const MAX_UNIT_LENGTH = 256;

export type InvalidUnit = "empty" | "tooLong" | "controlCharacter" | "invalidUtf8" | "repeated";
export type UnitReading =
  | { readonly kind: "unit"; readonly id: string }
  | { readonly kind: "absent" }
  | { readonly kind: "invalid"; readonly because: InvalidUnit };

const ABSENT: UnitReading = { kind: "absent" };
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
/** U+FFFD is what a decoder leaves of bytes that were not UTF-8; a lone surrogate cannot be encoded. */
const NOT_UTF8 = /\ufffd|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/**
 * Reads a unit id from the first source that is present. A source that is present and unusable
 * does not fall through to the next: that would randomise one person under two ids.
 */
export function readUnit(sources: readonly Source[], headers: HeaderView): UnitReading {
  for (const source of sources) {
    const values = valuesOf(source, headers);
    if (values.length > 0) return parseUnitId(values);
  }
  return ABSENT;
}

export function parseUnitId(values: readonly string[]): UnitReading {
  const [id] = values;
  if (id === undefined) return ABSENT;
  if (values.length > 1) return { kind: "invalid", because: "repeated" };
  if (id.length === 0) return { kind: "invalid", because: "empty" };
  if (id.length > MAX_UNIT_LENGTH) return { kind: "invalid", because: "tooLong" };
  if (CONTROL.test(id)) return { kind: "invalid", because: "controlCharacter" };
  if (NOT_UTF8.test(id)) return { kind: "invalid", because: "invalidUtf8" };
  return { kind: "unit", id };
}

/** Every value of a source, in order. */
export function valuesOf(source: Source, headers: HeaderView): readonly string[] {
  return "header" in source ? headers.values(source.header) : cookieValues(headers, source.cookie);
}

/** A cookie pair that reads back as this value, whatever quotes and spaces it holds. */
export function cookiePair(name: string, value: string): string {
  return unquoted(trimmed(value)) === value ? `${name}=${value}` : `${name}="${value}"`;
}

/** Spaces and tabs only (RFC 6265 section 5.2), as the fallback in the proxy does. */
function trimmed(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text[from])) from++;
  while (to > from && isBlank(text[to - 1])) to--;
  return text.slice(from, to);
}

const isBlank = (character: string | undefined) => character === " " || character === "\t";
const unquoted = (text: string) => (/^".*"$/s.test(text) ? text.slice(1, -1) : text);

/** Values of one cookie (RFC 6265 section 4.2.1), quotes removed. */
export function cookieValues(headers: HeaderView, name: string): readonly string[] {
  const found: string[] = [];
  for (const header of headers.values("cookie")) {
    for (const pair of header.split(";")) {
      const equals = pair.indexOf("=");
      if (equals < 0 || trimmed(pair.slice(0, equals)) !== name) continue;
      found.push(unquoted(trimmed(pair.slice(equals + 1))));
    }
  }
  return found;
}
