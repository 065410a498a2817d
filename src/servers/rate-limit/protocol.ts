import type {
  RateLimitRequest,
  RateLimitRequest__Output,
} from "../../gen/envoy/service/ratelimit/v3/RateLimitRequest.js";
import type {
  RateLimitResponse,
  RateLimitResponse__Output,
} from "../../gen/envoy/service/ratelimit/v3/RateLimitResponse.js";
import { loadProto, messageTypeOf } from "../proto-messages.js";

const definition = loadProto("envoy/service/ratelimit/v3/rls.proto");

export const rateLimitRequestType = messageTypeOf<RateLimitRequest, RateLimitRequest__Output>(
  definition,
  "envoy.service.ratelimit.v3.RateLimitRequest",
);
export const rateLimitResponseType = messageTypeOf<RateLimitResponse, RateLimitResponse__Output>(
  definition,
  "envoy.service.ratelimit.v3.RateLimitResponse",
);

export const RATE_LIMIT_SERVICE = "envoy.service.ratelimit.v3.RateLimitService";
export const SHOULD_RATE_LIMIT_PATH = `/${RATE_LIMIT_SERVICE}/ShouldRateLimit`;
