import type { QueuedRequest, Refusal } from "../core/batching/request.js";
import { ServiceError } from "../core/error.js";

type Facts = {
  /** `model m/1` */
  readonly model: string;
  readonly maxQueued: number;
  readonly waitingItems: number;
  readonly waitedMs: number;
};

/** When a caller that found no room may try again. */
export const RETRY_AFTER_MS = 1000;

/**
 * What the caller of a refused request is told. What no pod could do is not to be retried; what
 * this pod is too busy for is, elsewhere or later.
 */
export function refusalError<Request extends QueuedRequest>(
  { reason, predictedMs, leftMs }: Refusal<Request>,
  { model, maxQueued, waitingItems, waitedMs }: Facts,
): ServiceError {
  const figures = `about ${rounded(predictedMs)} ms, and ${rounded(leftMs)} ms are left`;
  switch (reason) {
    case "hopeless":
      return new ServiceError(
        "deadlineExceeded",
        `deadline cannot be made: ${model} takes ${figures}; it was not run`,
      );
    case "expired":
      return new ServiceError(
        "deadlineExceeded",
        `deadline over after ${rounded(waitedMs)} ms in the queue: ${model} takes ${figures}; it was not run`,
      );
    case "busy":
      return new ServiceError(
        "overloaded",
        `${model} is busy: the answer would take ${figures} until the deadline; it was not run`,
        { retryAfterMs: Math.max(1, predictedMs - leftMs) },
      );
    case "full":
      return new ServiceError(
        "overloaded",
        `queue of ${model} is full: ${waitingItems} items wait, the limit is ${maxQueued} (maxQueued)`,
        { retryAfterMs: RETRY_AFTER_MS },
      );
    case "displaced":
      return new ServiceError(
        "overloaded",
        `queue of ${model} is full, the limit is ${maxQueued} (maxQueued), and this tenant holds most of it: its last request made room for another tenant`,
        { retryAfterMs: RETRY_AFTER_MS },
      );
  }
}

const rounded = (ms: number) => Math.max(0, Math.round(ms * 10) / 10);
