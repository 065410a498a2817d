import type { DescriptorStatus, RateLimitAnswer } from "../../app/should-rate-limit.js";
import type { PlannedDescriptor } from "../../core/rate-limit/plan-charges.js";
import type { RateLimitUnit } from "../../schema/rate-limit.js";
import { HEADER } from "../../schema/headers.js";
import type {
  RateLimitResponse,
  _envoy_service_ratelimit_v3_RateLimitResponse_DescriptorStatus as Status,
  _envoy_service_ratelimit_v3_RateLimitResponse_RateLimit_Unit as Unit,
} from "../../gen/envoy/service/ratelimit/v3/RateLimitResponse.js";
import {
  rateLimitOf,
  rateLimitPolicyOf,
  retryAfterSeconds,
  tightestLimit,
} from "../ext-proc/rate-limit-headers.js";
import { passedMetadata } from "./metadata.js";

const MAX_UINT32 = 2 ** 32 - 1;

export function toResponse(answer: RateLimitAnswer): RateLimitResponse {
  const { isOver, statuses } = answer;
  const dynamicMetadata = passedMetadata(statuses);
  return {
    overallCode: isOver ? "OVER_LIMIT" : "OK",
    statuses: statuses.map(statusOf),
    ...toldToClients(answer),
    ...(dynamicMetadata === undefined ? {} : { dynamicMetadata }),
  };
}

function statusOf({ descriptor, verdict, isOver }: DescriptorStatus): Status {
  const { kind, rule } = descriptor;
  // What cannot run out is told as the most that the field holds.
  if (kind === "unlimited") return { code: "OK", limitRemaining: MAX_UINT32 };
  if (rule === undefined || verdict === undefined) return { code: "OK" };
  const { requestsPerUnit, unit, name } = rule;
  // Envoy's x-ratelimit-reset and, since 1.40, its retry-after come from this: a refused client is
  // told when to come back, and not when the whole burst would be there again.
  const resetMs = isOver ? verdict.retryAfterMs : verdict.resetAfterMs;
  return {
    code: isOver ? "OVER_LIMIT" : "OK",
    currentLimit: {
      ...{ requestsPerUnit, unit: unitOf(unit) },
      ...(name === undefined ? {} : { name }),
    },
    limitRemaining: Math.min(MAX_UINT32, Math.max(0, Math.floor(verdict.remaining))),
    durationUntilReset: { seconds: Math.ceil(resetMs / 1000) },
  };
}

const unitOf = (unit: RateLimitUnit) => unit.toUpperCase() as Unit;

/** The headers and the body that a limit of the external processor would give. */
function toldToClients({ isOver, domain, statuses }: RateLimitAnswer): RateLimitResponse {
  const byLimit = new Map<string, PlannedDescriptor>();
  const verdicts = statuses.flatMap(({ descriptor, verdict }) => {
    if (verdict === undefined) return [];
    byLimit.set(verdict.limit, descriptor);
    return [verdict];
  });
  const ruleOf = (limit: string) => byLimit.get(limit)?.rule;
  // Those in quota mode are not enforced alone, and refuse together.
  const tightest = tightestLimit(verdicts, (name) => (isOver ? undefined : ruleOf(name)?.limit));
  const limit = tightest === undefined ? undefined : ruleOf(tightest.limit)?.limit;
  if (tightest === undefined || limit === undefined) return {};
  const name = sendable(ruleOf(tightest.limit)?.name ?? domain);
  const told: [string, string][] = [[HEADER.rateLimit, rateLimitOf({ ...tightest, limit: name })]];
  if (limit.requests > 0)
    told.push([HEADER.rateLimitPolicy, rateLimitPolicyOf({ ...limit, name })]);
  if (!isOver) return { responseHeadersToAdd: told.map(headerOf) };
  const seconds = retryAfterSeconds(tightest.retryAfterMs);
  told.push([HEADER.retryAfter, String(seconds)], ["content-type", "application/json"]);
  const error = `limit "${name}" is used up; retry after ${seconds} s, or ask for a larger quota`;
  return {
    responseHeadersToAdd: told.map(headerOf),
    rawBody: Buffer.from(JSON.stringify({ error })),
  };
}

const headerOf = ([key, value]: [string, string]) => ({ key, value });

/** Fits the quotes of a Structured Field string (RFC 9651, 3.3.3). */
const sendable = (name: string) => name.replaceAll(/[^ !#-[\]-~]/g, "_").slice(0, 128);
