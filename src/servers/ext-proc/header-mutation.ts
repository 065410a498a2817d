import type { HeaderValueOption } from "../../gen/envoy/config/core/v3/HeaderValueOption.js";
import { WEIR_PREFIX } from "../../schema/headers.js";
import type { WireHeaders } from "./wire/headers.js";

/** A value that is absent is not set. */
export type HeaderValues = Readonly<Record<string, string | undefined>>;

/**
 * Envoy refuses the whole mutation, and fails the request, for one value with a control character,
 * or when headers outgrow its limit (60 KiB by default). Ours are printable ASCII and short.
 */
const SENDABLE = /^[\x20-\x7e]{1,8192}$/;

/** A value that Envoy would refuse is left out and reported. */
export function sendableOf(
  values: HeaderValues,
  onDropped: (name: string) => void,
): (readonly [name: string, value: string])[] {
  const sendable: (readonly [string, string])[] = [];
  for (const name in values) {
    const value = values[name];
    if (value === undefined) continue;
    if (SENDABLE.test(value)) sendable.push([name, value]);
    else onDropped(name);
  }
  return sendable;
}

/** Overwrites. Only raw_value: Envoy reads `value` alone as empty, and refuses both together. */
export const setHeadersOf = (sendable: ReturnType<typeof sendableOf>): HeaderValueOption[] =>
  sendable.map(([key, value]) => ({
    header: { key, rawValue: Buffer.from(value, "latin1") },
    appendAction: "OVERWRITE_IF_EXISTS_OR_ADD",
  }));

/**
 * Every x-weir-* header that came in, and the others that the policy reads as credentials: none may
 * pass on. Envoy removes exact names only, and removes before it sets.
 */
export const namesToStrip = (headers: WireHeaders, others: readonly string[]): readonly string[] =>
  headers.namesThat((name) => name.startsWith(WEIR_PREFIX) || others.includes(name));
