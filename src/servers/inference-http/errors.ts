import type { Socket } from "node:net";
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
  // What is left of the body will not be read.
  if (!reply.request.raw.complete) reply.header("connection", "close");
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
  if (statusCode === 415) {
    const message =
      "content-type is no media type: send application/json, application/octet-stream, or none";
    return new ServiceError("badRequest", message, { cause: thrown });
  }
  const codes: Readonly<Record<number, ErrorCode>> = { 404: "notFound", 413: "tooLarge" };
  return new ServiceError(codes[statusCode] ?? "badRequest", thrown.message, { cause: thrown });
}

/** What is no request, or none that ever became whole, is answered on its bare connection. */
export function answerClientError(
  error: Error & { readonly code?: string },
  socket: Socket,
  requestTimeoutMs: number,
): void {
  const { status, message } = CLIENT_ERRORS[error.code ?? ""]?.(requestTimeoutMs) ?? {
    status: "400 Bad Request",
    message: `this is not HTTP: ${error.message}`,
  };
  if (!socket.writable) return;
  const body = JSON.stringify({ error: message });
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}`;
  socket.end(`${head}\r\n\r\n${body}`, () => socket.destroy());
}

type ClientAnswer = { readonly status: string; readonly message: string };

const CLIENT_ERRORS: Readonly<Record<string, (timeoutMs: number) => ClientAnswer>> = {
  ERR_HTTP_REQUEST_TIMEOUT: (timeoutMs) => ({
    status: "408 Request Timeout",
    message: `the request did not arrive within ${timeoutMs} ms (--request-timeout-ms)`,
  }),
  HPE_HEADER_OVERFLOW: () => ({
    status: "431 Request Header Fields Too Large",
    message: "the headers are too large",
  }),
};
