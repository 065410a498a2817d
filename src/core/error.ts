/** What can go wrong in operation. servers/wire-status.ts maps each to gRPC and HTTP. */
export type ErrorCode =
  | "badRequest"
  | "notFound"
  | "tooLarge"
  | "methodNotAllowed"
  /** Not in the mode or state that this process is in. */
  | "conflict"
  | "unsupported"
  | "notReady"
  | "overloaded"
  | "deadlineExceeded"
  | "cancelled"
  | "dependencyDown"
  | "internal";

/**
 * An operating failure whose message may be shown to the caller: what happened, the value, the
 * rule, the remedy. Anything else that is thrown is a programmer error and its text stays inside.
 */
export class ServiceError extends Error {
  readonly code: ErrorCode;
  /** When a retry may succeed, in milliseconds from now. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly retryAfterMs?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "ServiceError";
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** The one door for foreign errors: keeps a ServiceError, hides everything else. */
  static from(error: unknown): ServiceError {
    return error instanceof ServiceError
      ? error
      : new ServiceError("internal", "internal error; the log of this process has the cause", {
          cause: error,
        });
  }
}
