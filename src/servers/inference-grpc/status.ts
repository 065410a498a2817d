import { Metadata } from "@grpc/grpc-js";
import type { StatusObject } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { ServiceError } from "../../core/error.js";
import { wireStatusOf } from "../wire-status.js";

/** grpc-message travels in a header, and peers take 8 KiB of headers in all. */
const MAX_DETAILS = 2000;

/** How a call ends that went wrong; a fault of ours is logged. */
export function statusOf(thrown: unknown, logger: Logger): StatusObject {
  const error = ServiceError.from(thrown);
  if (error.code === "internal") logger.error({ err: error.cause ?? error }, "call failed");
  const metadata = new Metadata();
  // https://github.com/grpc/proposal/blob/master/A6-client-retries.md: when to try again.
  if (error.retryAfterMs !== undefined) {
    metadata.set("grpc-retry-pushback-ms", String(Math.max(0, Math.ceil(error.retryAfterMs))));
  }
  return { code: wireStatusOf(error).grpc, details: detailsOf(error), metadata };
}

/** Half a character, left by a cut, would make the encoding of the header throw. */
function detailsOf({ message }: ServiceError): string {
  return Buffer.from(message.slice(0, MAX_DETAILS)).toString();
}
