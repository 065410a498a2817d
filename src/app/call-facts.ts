import { parseDictionary } from "structured-headers";
import { HEADER } from "../schema/headers.js";

/** What is known of a call besides its body. */
export type CallFacts = MeshFacts & {
  readonly model: string;
  readonly version?: string | undefined;
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
  /** What is left of the mesh's time for this try. */
  readonly meshTimeoutMs?: number | undefined;
  readonly attempt: number;
  readonly shadow: boolean;
  readonly decision: string | null;
  readonly policy: string | null;
  readonly arms: string | null;
  readonly requestId: string | null;
  /** Who shares the instances fairly with others. */
  readonly tenant?: string | undefined;
};

/**
 * Reads them from headers with lower-case names. A value that is none of its kind is as good as
 * absent. It may still be forged: only the network can keep callers from reaching a pod directly.
 */
export function meshFactsOf(header: (name: string) => string | undefined): MeshFacts {
  const matching = (name: string, pattern: RegExp) => {
    const value = header(name);
    return value !== undefined && pattern.test(value) ? value : null;
  };
  const count = (name: string) => {
    const value = matching(name, COUNT);
    return value === null ? undefined : Number(value);
  };
  const arms = header(HEADER.arms);
  return {
    meshTimeoutMs: count(HEADER.expectedTimeoutMs),
    attempt: count(HEADER.attemptCount) ?? 1,
    shadow: header(HEADER.shadow) === "1",
    decision: matching(HEADER.decision, ULID),
    policy: matching(HEADER.policy, POLICY_VERSION),
    arms: arms !== undefined && isArms(arms) ? arms : null,
    requestId: matching(HEADER.requestId, REQUEST_ID),
    tenant: matching(HEADER.tenant, TENANT) ?? undefined,
  };
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
