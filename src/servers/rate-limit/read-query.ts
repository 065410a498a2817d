import type { RateLimitQuery } from "../../app/should-rate-limit.js";
import { ServiceError } from "../../core/error.js";
import type { Descriptor } from "../../core/rate-limit/plan-charges.js";
import type { RateLimitDescriptor__Output } from "../../gen/envoy/extensions/common/ratelimit/v3/RateLimitDescriptor.js";
import type { RateLimitRequest__Output } from "../../gen/envoy/service/ratelimit/v3/RateLimitRequest.js";
import { RATE_LIMIT_UNITS, type RateLimitUnit } from "../../schema/rate-limit.js";
import { rateLimitRequestType } from "./protocol.js";

/** More than any route has actions for, and few enough to be charged at once. */
const MAX_DESCRIPTORS = 256;

const refused = (message: string) => new ServiceError("badRequest", message);

/** @throws ServiceError badRequest for what is no request that could be answered */
export function readQuery(bytes: Buffer): RateLimitQuery {
  const { domain = "", descriptors = [], hitsAddend = 0 } = decoded(bytes);
  if (domain === "") throw refused("domain is empty: set it in Envoy's rate limit filter");
  if (descriptors.length === 0) throw refused("no descriptors: give the route an action");
  if (descriptors.length > MAX_DESCRIPTORS) {
    throw refused(`${descriptors.length} descriptors are over the limit of ${MAX_DESCRIPTORS}`);
  }
  // Zero is what a client sends that does not know of the field.
  const hits = Math.max(1, hitsAddend);
  return { domain, descriptors: descriptors.map((descriptor) => readDescriptor(descriptor, hits)) };
}

function decoded(bytes: Buffer): RateLimitRequest__Output {
  try {
    return rateLimitRequestType.deserialize(bytes);
  } catch {
    throw refused(`${bytes.length} bytes are no RateLimitRequest; send envoy.service.ratelimit.v3`);
  }
}

function readDescriptor(descriptor: RateLimitDescriptor__Output, hits: number): Descriptor {
  const { entries = [], limit, hitsAddend } = descriptor;
  return {
    entries: entries.map(({ key = "", value = "" }) => ({ key, value })),
    override:
      limit == null
        ? undefined
        : { requestsPerUnit: limit.requestsPerUnit ?? 0, unit: unitOf(limit.unit) },
    // proto3: a wrapper without a value in it is one of 0.
    hits: hitsAddend == null ? hits : (hitsAddend.value ?? 0),
  };
}

function unitOf(unit: string | undefined = "UNKNOWN"): RateLimitUnit {
  const known = RATE_LIMIT_UNITS.find((one) => one.toUpperCase() === unit);
  if (known === undefined) {
    throw refused(`a limit override is per ${unit}: write one of ${RATE_LIMIT_UNITS.join(", ")}`);
  }
  return known;
}
