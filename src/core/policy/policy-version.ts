import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Policy } from "../../schema/policy.js";

/**
 * First 12 hex digits of the SHA-256 of the canonical form: the validated policy with its defaults
 * filled in, as JSON with sorted keys. Comments, key order and spelled-out defaults do not change it.
 */
export function policyVersion(policy: Policy): string {
  return bytesToHex(sha256(utf8ToBytes(canonicalJson(policy)))).slice(0, 12);
}

/** JSON with keys sorted by code unit and absent members left out (compare RFC 8785). */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
  return `{${members.join(",")}}`;
}
