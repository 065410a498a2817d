import type { FastifyReply } from "fastify";
import type { Logger } from "pino";
import { ServiceError } from "../../core/error.js";
import type { ErrorCode } from "../../core/error.js";
import { wireStatusOf } from "../wire-status.js";

/** Answers `{"error": "…"}`, the one form of the protocol. */
export function answerError(thrown: unknown, reply: FastifyReply, logger: Logger): void {
  const error = serviceErrorOf(thrown);
  if (error.code === "internal") {
    logger.error({ err: error.cause ?? error }, "request failed");
  }
  if (error.retryAfterMs !== undefined) {
    reply.header("retry-after", String(Math.max(1, Math.ceil(error.retryAfterMs / 1000))));
  }
  reply
    .code(wireStatusOf(error).http)
    .header("content-type", "application/json")
    .send(JSON.stringify({ error: error.message }));
}

/** Errors of the HTTP framework carry a status of the 400s, and a text that callers may see. */
function serviceErrorOf(thrown: unknown): ServiceError {
  if (thrown instanceof ServiceError || !(thrown instanceof Error))
    return ServiceError.from(thrown);
  const { statusCode } = thrown as { readonly statusCode?: number };
  if (statusCode === undefined || statusCode < 400 || statusCode > 499) {
    return ServiceError.from(thrown);
  }
  const codes: Readonly<Record<number, ErrorCode>> = { 404: "notFound", 413: "tooLarge" };
  return new ServiceError(codes[statusCode] ?? "badRequest", thrown.message, { cause: thrown });
}
