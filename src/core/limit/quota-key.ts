import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

/** Longest text that a key holds as it is, in UTF-16 code units: a store holds many keys. */
const MAX_LENGTH = 256;

/** In no value: HTTP forbids both in headers, and a unit with one is invalid. */
const BETWEEN = "\n";
const MARK = "\r";

/**
 * The key of a quota among those of its limit, from the values of what it is kept for; undefined:
 * absent. A value alone is its own key, and a long one is told by its digest.
 */
export function quotaKeyOf(values: readonly (string | undefined)[]): string {
  const [first, ...others] = values;
  let key = values.length === 0 ? "" : partOf(first);
  for (const value of others) key += `${BETWEEN}${partOf(value)}`;
  return key;
}

/** One text for a quota among those of all limits. */
export const quotaIdOf = (limit: string, key: string): string => `${limit}${BETWEEN}${key}`;

function partOf(value: string | undefined): string {
  if (value === undefined) return MARK;
  if (value.length <= MAX_LENGTH) return value;
  return `${MARK}${bytesToHex(sha256(utf8ToBytes(value)))}`;
}
