import { fileURLToPath } from "node:url";
import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";
import type {
  RateLimitRequest,
  RateLimitRequest__Output,
} from "../../gen/envoy/service/ratelimit/v3/RateLimitRequest.js";
import type {
  RateLimitResponse,
  RateLimitResponse__Output,
} from "../../gen/envoy/service/ratelimit/v3/RateLimitResponse.js";

const definition = loadSync("envoy/service/ratelimit/v3/rls.proto", {
  longs: Number,
  enums: String,
  oneofs: true,
  includeDirs: [fileURLToPath(new URL("../../../proto", import.meta.url))],
});

/** The generated types and the loaded definition come from the same files (`npm run generate`). */
function messageType<Input, Output>(name: string): MessageTypeDefinition<Input, Output> {
  const type = definition[name];
  if (type === undefined) throw new Error(`proto/ does not define ${name}`);
  return type as unknown as MessageTypeDefinition<Input, Output>;
}

export const rateLimitRequestType = messageType<RateLimitRequest, RateLimitRequest__Output>(
  "envoy.service.ratelimit.v3.RateLimitRequest",
);
export const rateLimitResponseType = messageType<RateLimitResponse, RateLimitResponse__Output>(
  "envoy.service.ratelimit.v3.RateLimitResponse",
);

export const RATE_LIMIT_SERVICE = "envoy.service.ratelimit.v3.RateLimitService";
export const SHOULD_RATE_LIMIT_PATH = `/${RATE_LIMIT_SERVICE}/ShouldRateLimit`;
