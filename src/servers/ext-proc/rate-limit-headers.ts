import type { CompiledLimit } from "../../core/limit/limit.js";
import type { LimitVerdict } from "../../core/routing/decision.js";

export type LimitOf = (name: string) => CompiledLimit | undefined;

/** Structured Field integers have at most 15 digits (RFC 9651, 3.3.1); ours need far fewer. */
const MAX_INTEGER = 999_999_999;

function wholeSeconds(ms: number): number {
  return Math.min(MAX_INTEGER, Math.max(0, Math.ceil(ms / 1000)));
}

/** The Retry-After header takes whole seconds; 0 would invite the retry that was just refused. */
export function retryAfterSeconds(retryAfterMs: number): number {
  return Number.isNaN(retryAfterMs) ? 1 : Math.max(1, wholeSeconds(retryAfterMs));
}

/**
 * The limit a client should heed: the one that refused for longest, else the one with least left.
 * Limits that are only observed stay the operator's secret.
 */
export function tightestLimit(
  verdicts: readonly LimitVerdict[],
  limitOf: LimitOf,
): LimitVerdict | undefined {
  let tightest: LimitVerdict | undefined;
  for (const verdict of verdicts) {
    if (verdict.kind === "wouldLimit" || limitOf(verdict.limit)?.enforce === false) continue;
    if (tightest === undefined || isTighter(verdict, tightest)) tightest = verdict;
  }
  return tightest;
}

function isTighter(a: LimitVerdict, b: LimitVerdict): boolean {
  if (a.kind !== b.kind) return a.kind === "limited";
  return a.kind === "limited" ? a.retryAfterMs > b.retryAfterMs : a.remaining < b.remaining;
}

/** draft-ietf-httpapi-ratelimit-headers: `r` units remain, whole again in `t` seconds. */
export function rateLimitOf(verdict: LimitVerdict): string {
  const remaining = Math.min(MAX_INTEGER, Math.max(0, Math.floor(verdict.remaining)));
  return `"${verdict.limit}";r=${remaining};t=${wholeSeconds(verdict.resetAfterMs)}`;
}

/** `q` units per window of `w` whole seconds; a quota per 250 ms is four times that per second. */
export function rateLimitPolicyOf(limit: CompiledLimit): string {
  const windowSeconds = Math.max(1, wholeSeconds(limit.periodMs));
  const quota = Math.floor((limit.requests * windowSeconds * 1000) / limit.periodMs);
  return `"${limit.name}";q=${Math.min(MAX_INTEGER, quota)};w=${windowSeconds}`;
}
