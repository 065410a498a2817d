import type { Logger } from "pino";
import { ServiceError } from "../../core/error.js";
import type { Trailers } from "../grpc/stream.js";
import { wireStatusOf } from "../wire-status.js";

export type Status = {
  readonly code: number;
  readonly details: string;
  readonly trailers: Trailers | undefined;
};

/** How a call ends that went wrong; a fault of ours is logged. */
export function statusOf(thrown: unknown, logger: Logger): Status {
  const error = ServiceError.from(thrown);
  if (error.code === "internal") logger.error({ err: error.cause ?? error }, "call failed");
  return {
    ...{ code: wireStatusOf(error).grpc, details: error.message },
    trailers: error.retryAfterMs === undefined ? undefined : pushback(error.retryAfterMs),
  };
}

/** https://github.com/grpc/proposal/blob/master/A6-client-retries.md: when to try again. */
const pushback = (afterMs: number): Trailers =>
  new Map([["grpc-retry-pushback-ms", String(Math.max(0, Math.ceil(afterMs)))]]);
