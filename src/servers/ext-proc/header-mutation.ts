import type { HeaderMutation } from "../../gen/envoy/service/ext_proc/v3/HeaderMutation.js";
import type { HeaderValueOption } from "../../gen/envoy/config/core/v3/HeaderValueOption.js";
import { WEIR_PREFIX } from "../../schema/headers.js";
import type { WireHeaders } from "./facts.js";

/** A value that is absent is not set. */
export type HeaderValues = Readonly<Record<string, string | undefined>>;

/**
 * Envoy refuses the whole mutation, and fails the request, for one value with a control character,
 * or when headers outgrow its limit (60 KiB by default). Ours are printable ASCII and short.
 */
const SENDABLE = /^[\x20-\x7e]{1,8192}$/;

/**
 * Overwrites. Only raw_value: Envoy reads `value` alone as empty, and refuses both together.
 * A value that Envoy would refuse is left out and reported.
 */
export function setHeadersOf(
  values: HeaderValues,
  onDropped: (name: string) => void,
): HeaderValueOption[] {
  const options: HeaderValueOption[] = [];
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined) continue;
    if (SENDABLE.test(value)) {
      options.push({
        header: { key, rawValue: Buffer.from(value, "latin1") },
        appendAction: "OVERWRITE_IF_EXISTS_OR_ADD",
      });
    } else {
      onDropped(key);
    }
  }
  return options;
}

/**
 * Every x-weir-* header that came in, and the others that the policy reads as credentials: none may
 * pass on. Envoy removes exact names only, and removes before it sets.
 */
export function namesToStrip(headers: WireHeaders, others: readonly string[]): string[] {
  const names: string[] = [];
  for (const name of headers.keys()) {
    if (name.startsWith(WEIR_PREFIX) || others.includes(name)) names.push(name);
  }
  return names;
}

export function isEmptyMutation(mutation: HeaderMutation): boolean {
  return (mutation.setHeaders?.length ?? 0) === 0 && (mutation.removeHeaders?.length ?? 0) === 0;
}
