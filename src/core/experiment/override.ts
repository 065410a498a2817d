import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { parseDictionary, Token } from "structured-headers";
import type { Overrides } from "../../schema/override.js";

/**
 * `weir1.<key>.<expiry, unix seconds>.<HMAC-SHA256, hex>` over policy name, key, expiry and the
 * override as sent. It is bound to one policy and one override, so it cannot be reused for another.
 */
const TOKEN = /^weir1\.([a-z][a-z0-9-]{0,62})\.(\d{1,11})\.([0-9a-f]{64})$/;

export type OverrideRefusal = "malformed" | "untrusted" | "forged" | "expired" | "unknownArm";
export type OverrideReading =
  | { readonly kind: "none" }
  | { readonly kind: "trusted"; readonly arms: ReadonlyMap<string, string> }
  | { readonly kind: "refused"; readonly because: OverrideRefusal };

export type OverrideRequest = {
  readonly header: readonly string[];
  readonly token: readonly string[];
  readonly principal: string | undefined;
};

const NONE: OverrideReading = { kind: "none" };
const refused = (because: OverrideRefusal): OverrideReading => ({ kind: "refused", because });

/** Accepts an override from a trusted principal or with a valid token; else says why not. */
export function readOverride(
  overrides: Overrides | undefined,
  policyName: string,
  keys: ReadonlyMap<string, Uint8Array>,
  request: OverrideRequest,
  nowMs: number,
): OverrideReading {
  if (overrides === undefined || request.header.length === 0) return NONE;
  const text = request.header.join(", ");
  const arms = parseOverride(text);
  if (arms === null) return refused("malformed");
  if (isTrustedPrincipal(overrides, request.principal)) return { kind: "trusted", arms };
  const [token] = request.token;
  if (token === undefined) return refused("untrusted");
  const because = tokenRefusal(overrides, policyName, keys, token, text, nowMs);
  return because === null ? { kind: "trusted", arms } : refused(because);
}

/** `experiment=arm, other=arm` (RFC 9651 dictionary of tokens or strings); null if it is not that. */
export function parseOverride(text: string): ReadonlyMap<string, string> | null {
  try {
    const arms = new Map<string, string>();
    for (const [experiment, member] of parseDictionary(text)) {
      const item: unknown = member[0];
      if (typeof item !== "string" && !(item instanceof Token)) return null;
      arms.set(experiment, item.toString());
    }
    return arms.size > 0 ? arms : null;
  } catch {
    return null; // The parser throws on anything that is no dictionary.
  }
}

/** The token for an override; `expiresAtMs` is rounded down to a second. */
export function mintOverrideToken(request: {
  readonly policyName: string;
  readonly keyName: string;
  readonly key: Uint8Array;
  readonly override: string;
  readonly expiresAtMs: number;
}): string {
  const expiry = String(Math.floor(request.expiresAtMs / 1000));
  const mac = macOf(request.key, request.policyName, request.keyName, expiry, request.override);
  return `weir1.${request.keyName}.${expiry}.${mac}`;
}

function tokenRefusal(
  overrides: Overrides,
  policyName: string,
  keys: ReadonlyMap<string, Uint8Array>,
  token: string,
  override: string,
  nowMs: number,
): OverrideRefusal | null {
  const [, keyName = "", expiry = "", mac = ""] = TOKEN.exec(token) ?? [];
  const key = keys.get(keyName);
  const named = overrides.trust.some((trust) => "signed" in trust && trust.signed === keyName);
  if (key === undefined || !named) return "forged";
  if (!equalInConstantTime(mac, macOf(key, policyName, keyName, expiry, override))) return "forged";
  return Number(expiry) * 1000 <= nowMs ? "expired" : null;
}

function macOf(key: Uint8Array, policy: string, keyName: string, expiry: string, override: string) {
  return bytesToHex(
    hmac(sha256, key, utf8ToBytes(`weir1\n${policy}\n${keyName}\n${expiry}\n${override}`)),
  );
}

function isTrustedPrincipal(overrides: Overrides, principal: string | undefined): boolean {
  if (principal === undefined) return false;
  return overrides.trust.some((trust) => {
    if (!("principal" in trust)) return false;
    return trust.principal.endsWith("*")
      ? principal.startsWith(trust.principal.slice(0, -1))
      : principal === trust.principal;
  });
}

/** Compares every character whatever differs first, so that timing tells nothing of the MAC. */
function equalInConstantTime(left: string, right: string): boolean {
  let difference = left.length ^ right.length;
  for (let at = 0; at < right.length; at++)
    difference |= left.charCodeAt(at) ^ right.charCodeAt(at);
  return difference === 0;
}
