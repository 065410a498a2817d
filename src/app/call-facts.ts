import { parseDictionary } from "structured-headers";
import { HEADER } from "../schema/headers.js";

/** What is known of a call besides its body. */
export type CallFacts = {
  readonly model: string;
  readonly version?: string | undefined;
  readonly mesh: MeshFacts;
  /** What is left for this try, as the mesh or the wire says. */
  readonly timeoutMs?: number | undefined;
  /** Monotonic, when the request arrived. */
  readonly receivedAtMs: number;
  readonly signal?: CallerSignal | undefined;
};

/** Aborted when the caller is gone. Each request has one, and an AbortSignal is no small thing. */
export type CallerSignal = {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
};

/** What the mesh says about a call, in its headers or metadata. */
export type MeshFacts = {
  readonly attempt: number;
  readonly shadow: boolean;
  readonly decision: string | null;
  readonly policy: string | null;
  readonly arms: string | null;
  readonly requestId: string | null;
  /** Who shares the instances fairly with others. */
  readonly tenant?: string | undefined;
};

/** The value of a header, by its lower-case name. */
export type HeaderOf = (name: string) => string | undefined;

/**
 * A value that is none of its kind is as good as absent. It may still be forged: only the network can
 * keep callers from reaching a pod directly.
 */
export function meshFactsOf(header: HeaderOf): MeshFacts {
  const arms = header(HEADER.arms);
  return {
    attempt: count(header(HEADER.attemptCount)) ?? 1,
    shadow: header(HEADER.shadow) === "1",
    decision: matching(header(HEADER.decision), ULID),
    policy: matching(header(HEADER.policy), POLICY_VERSION),
    arms: arms !== undefined && isArms(arms) ? arms : null,
    requestId: matching(header(HEADER.requestId), REQUEST_ID),
    tenant: matching(header(HEADER.tenant), TENANT) ?? undefined,
  };
}

/** What is left of the mesh's time for this try, in milliseconds. */
export const meshTimeoutMsOf = (header: HeaderOf) => count(header(HEADER.expectedTimeoutMs));

const matching = (value: string | undefined, pattern: RegExp) =>
  value !== undefined && pattern.test(value) ? value : null;

function count(value: string | undefined): number | undefined {
  return value !== undefined && COUNT.test(value) ? Number(value) : undefined;
}

const COUNT = /^[1-9]\d{0,14}$/;
/** https://github.com/ulid/spec: 26 digits of Crockford's base 32, 128 bits. */
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const POLICY_VERSION = /^[0-9a-f]{12}$/;
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;
const TENANT = /^[\x21-\x7e]{1,128}$/;
const MAX_ARMS_LENGTH = 4096;

/** A dictionary of experiment=arm (RFC 9651), as extproc writes it. */
function isArms(text: string): boolean {
  if (text.length > MAX_ARMS_LENGTH) return false;
  try {
    return parseDictionary(text).size > 0;
  } catch {
    return false;
  }
}
