import { status as grpcStatus } from "@grpc/grpc-js";
import { ServiceError } from "../core/error.js";
import type { ErrorCode } from "../core/error.js";

export type WireStatus = { readonly grpc: grpcStatus; readonly http: number };

/** The one table from what went wrong to both wires. */
const WIRE_STATUS = {
  badRequest: { grpc: grpcStatus.INVALID_ARGUMENT, http: 400 },
  notFound: { grpc: grpcStatus.NOT_FOUND, http: 404 },
  methodNotAllowed: { grpc: grpcStatus.UNIMPLEMENTED, http: 405 },
  conflict: { grpc: grpcStatus.FAILED_PRECONDITION, http: 409 },
  tooLarge: { grpc: grpcStatus.INVALID_ARGUMENT, http: 413 },
  /** nginx's "client closed request": nobody reads it but the log. */
  cancelled: { grpc: grpcStatus.CANCELLED, http: 499 },
  internal: { grpc: grpcStatus.INTERNAL, http: 500 },
  unsupported: { grpc: grpcStatus.UNIMPLEMENTED, http: 501 },
  /** The mesh may retry these three on another pod. */
  notReady: { grpc: grpcStatus.UNAVAILABLE, http: 503 },
  overloaded: { grpc: grpcStatus.UNAVAILABLE, http: 503 },
  dependencyDown: { grpc: grpcStatus.UNAVAILABLE, http: 503 },
  /** The mesh must not retry this: no pod can make the deadline. */
  deadlineExceeded: { grpc: grpcStatus.DEADLINE_EXCEEDED, http: 504 },
} satisfies Record<ErrorCode, WireStatus>;

export function wireStatusOf(error: unknown): WireStatus {
  return WIRE_STATUS[ServiceError.from(error).code];
}
