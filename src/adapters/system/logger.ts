import pino, { type DestinationStream, type Logger } from "pino";

export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Fields that hold personal data or secrets, wherever they stand, down to three levels. */
const SECRET_FIELDS = [
  "headers",
  "facts",
  "unit",
  "units",
  "unitId",
  "userId",
  "tenant",
  "cookie",
  "authorization",
  "token",
  "overrideToken",
  "key",
  "keys",
  "secret",
  "password",
];
const REDACTED_PATHS = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]);

/**
 * JSON lines on stderr; stdout is for the ready line and for data. Written synchronously, so that
 * the last words of a crash are read; log per request only at `debug`.
 */
export function makeLogger(
  options: { readonly name: string; readonly level: LogLevel },
  destination: DestinationStream = pino.destination({ fd: 2, sync: true }),
): Logger {
  return pino(
    {
      ...options,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED_PATHS, censor: "[redacted]" },
    },
    destination,
  );
}
