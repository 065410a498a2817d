/** Marks a quoted integer; no BYTES element may hold NUL, so none can look like one. */
const MARK = "\0int:";

/** An integer of 16 digits or more, where a value may stand, that is no start of a fraction. */
const LONG_INTEGER = /(?<=[[,:\s]|^)-?\d{16,}(?=[\s,\]}]|$)/;
const STRING_OR_LONG_INTEGER = new RegExp(
  String.raw`"[^"\\]*(?:\\.[^"\\]*)*"|${LONG_INTEGER.source}`,
  "gs",
);

/**
 * JSON.parse, but integers that a double would round come out as exact BigInt by `exactInteger`:
 * an INT64 of 2^53 + 1 must not become its neighbour.
 */
export function parseExactJson(text: string): unknown {
  if (!LONG_INTEGER.test(text)) return JSON.parse(text);
  const quoted = text.replace(STRING_OR_LONG_INTEGER, (token) =>
    token.startsWith('"') ? token : JSON.stringify(MARK + token),
  );
  return JSON.parse(quoted);
}

/** The integer that a value of parseExactJson stands for; undefined if it is none. */
export function exactInteger(value: unknown): bigint | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  const marked = typeof value === "string" && value.startsWith(MARK);
  return marked ? BigInt(value.slice(MARK.length)) : undefined;
}
