import { z } from "zod";
import { SET_BY_WEIR } from "./headers.js";

/** Shares, slots and buckets are basis points: 10,000 is everything. */
export const BUCKET_COUNT = 10_000;

export const Name = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, {
    error: ({ input }) =>
      `name ${JSON.stringify(input)} must match [a-z][a-z0-9-]*, at most 63 characters: it becomes part of headers, clusters and metrics`,
  })
  .meta({ description: "Lower-case letters, digits and dashes; starts with a letter." });

export const VersionName = z
  .union([z.string(), z.int().nonnegative()])
  .transform(String)
  .refine((name) => /^[a-z0-9][a-z0-9._-]{0,62}$/.test(name), {
    error: ({ input }) =>
      `version ${JSON.stringify(input)} must match [a-z0-9][a-z0-9._-]*, at most 63 characters`,
  })
  .meta({ description: "A version of a model: a word or an integer, such as `v3` or `3`." });

/** Lower-case HTTP field names (RFC 9110 section 5.1 token, without upper case). */
export const HeaderName = z
  .string()
  .regex(/^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$/, {
    error: ({ input }) =>
      `header name ${JSON.stringify(input)} would be refused by Envoy: use a lower-case HTTP token such as x-user-id, without ":" or spaces`,
  })
  .refine((name) => !SET_BY_WEIR.has(name), {
    error: ({ input }) =>
      `header ${String(input)} is set by Weir, and extproc strips what a client sends under it: use another name`,
  })
  .meta({ description: "Lower-case HTTP header name; pseudo-headers are not allowed." });

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Parses `250ms`, `1.5s`, `2m`, `1h` to milliseconds. */
export const Duration = z
  .string()
  .regex(/^\d+(\.\d+)?(ms|s|m|h)$/, {
    error: ({ input }) =>
      `duration ${JSON.stringify(input)} must be a number and a unit: 250ms, 1.5s, 2m or 1h`,
  })
  .transform((text) => {
    const unit = /[a-z]+$/.exec(text)?.[0] ?? "ms";
    return Number.parseFloat(text) * (UNIT_MS[unit] ?? 1);
  })
  .refine((ms) => ms >= 1 && ms <= 31 * 24 * 3_600_000, {
    error: "duration must be between 1ms and 744h",
  })
  .meta({ description: "A duration such as `250ms`, `1.5s`, `2m` or `1h`." });

export const BasisPoints = z
  .int()
  .min(0, { error: ({ input }) => `${String(input)} is below 0 basis points` })
  .max(BUCKET_COUNT, {
    error: ({ input }) => `${String(input)} is over 10000 basis points, which is everyone`,
  })
  .meta({ description: "Basis points of 10,000: 100 is 1 %." });

export const Cel = z.string().min(1).max(4096).meta({
  description:
    "A CEL expression that gives a bool, over request.*, unit.*, device.*, geo.* and features.*.",
});

export const Host = z
  .string()
  .regex(/^(\*|(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)$/, {
    error: ({ input }) =>
      `host ${JSON.stringify(input)} must be "*", a lower-case name without a port, or "*.suffix"`,
  })
  .meta({ description: "`*`, a host name, or `*.suffix`." });

export const Address = z
  .strictObject({
    host: z
      .string()
      .min(1)
      .max(253)
      .regex(/^[A-Za-z0-9._:-]+$/, {
        error: ({ input }) => `${JSON.stringify(input)} is not a host name or an IP address`,
      })
      .meta({ description: "DNS name or IP address of the pods." }),
    port: z.int().min(1).max(65_535).meta({ description: "TCP port." }),
  })
  .meta({ description: "Where pods are reached." });
export type Address = z.infer<typeof Address>;
