import type { HeaderValueOption } from "../../gen/envoy/config/core/v3/HeaderValueOption.js";
import { WEIR_PREFIX } from "../../schema/headers.js";
import type { WireHeaders } from "./wire/headers.js";

/** A value that is absent is not set. */
export type HeaderValues = readonly (readonly [name: string, value: string | undefined])[];
type Sendable = readonly [name: string, value: string];

/**
 * Envoy refuses the whole mutation, and fails the request, for one value with a control character,
 * or when headers outgrow its limit (60 KiB by default). Ours are printable ASCII and short.
 */
const SENDABLE = /^[\x20-\x7e]{1,8192}$/;

/** A value that Envoy would refuse is left out and reported. */
export function sendableOf(
  values: HeaderValues,
  onDropped: (name: string) => void,
): readonly Sendable[] {
  return values.filter((header): header is Sendable => {
    const [name, value] = header;
    if (value === undefined) return false;
    if (SENDABLE.test(value)) return true;
    onDropped(name);
    return false;
  });
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
