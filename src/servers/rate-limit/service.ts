import { status as grpcStatus } from "@grpc/grpc-js";
import type { Logger } from "pino";
import type { RateLimitMetrics } from "../../app/ports.js";
import type { ShouldRateLimit } from "../../app/should-rate-limit.js";
import { ServiceError } from "../../core/error.js";
import { oneMessage } from "../grpc/one-message.js";
import type { AcceptStream } from "../grpc/stream.js";
import { rateLimitResponseType } from "./protocol.js";
import { readQuery } from "./read-query.js";
import { toResponse } from "./to-response.js";

export type RateLimitService = {
  readonly shouldRateLimit: ShouldRateLimit;
  readonly metrics: RateLimitMetrics;
  readonly logger: Logger;
};

/**
 * `ShouldRateLimit`: one request, one answer. An error leaves the request to `failure_mode_deny` of
 * Envoy's filter.
 */
export const makeRateLimitMethod =
  (service: RateLimitService): AcceptStream =>
  (stream) =>
    oneMessage(stream, (bytes) => {
      const answer = answerTo(bytes, service);
      if (answer instanceof Error) stream.fail(grpcStatus.INVALID_ARGUMENT, answer.message);
      else if (answer === undefined) stream.fail(grpcStatus.INTERNAL, "the limits met a bug");
      else {
        stream.send(answer);
        stream.end();
      }
    });

/** An Error says what is wrong with the request; undefined: it is we who are. */
function answerTo(
  bytes: Buffer,
  { shouldRateLimit, metrics, logger }: RateLimitService,
): Buffer | ServiceError | undefined {
  try {
    return rateLimitResponseType.serialize(toResponse(shouldRateLimit(readQuery(bytes))));
  } catch (error) {
    if (error instanceof ServiceError && error.code === "badRequest") {
      metrics.refused("badRequest");
      return error;
    }
    metrics.refused("internal");
    logger.error({ err: error }, "a rate limit request met an error of ours");
    return undefined;
  }
}
