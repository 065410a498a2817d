import { z } from "zod";
import { shortened, shown } from "./shape-issues.js";
import { HEADER, SET_BY_WEIR } from "./headers.js";

/** Shares, slots and buckets are basis points: 10,000 is everything. */
export const BUCKET_COUNT = 10_000;

const nameError = ({ input }: { readonly input?: unknown }) =>
  input === undefined
    ? "missing, and required: a name"
    : `name ${shown(input)} must match [a-z][a-z0-9-]*, at most 63 characters: it becomes part of headers, clusters and metrics`;

export const Name = z
  .string({ error: nameError })
  .regex(/^[a-z][a-z0-9-]{0,62}$/, { error: nameError })
  .meta({ description: "Lower-case letters, digits and dashes; starts with a letter." });

/** Wider than what a policy can name: model folders come from other servers too. */
export const ModelFolderName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, {
  error: ({ input }) =>
    `model ${shown(input)} must match [A-Za-z0-9][A-Za-z0-9._-]*, at most 128 characters: it becomes part of paths and metrics`,
});

export const VersionName = z
  .union([z.string(), z.int().nonnegative()], {
    error: ({ input }) =>
      input === undefined
        ? "missing, and required: the name of a version"
        : `version ${shown(input)} must be a word or a whole number: put it in quotes`,
  })
  .transform(String)
  .refine((name) => /^[a-z0-9][a-z0-9._-]{0,62}$/.test(name), {
    error: ({ input }) =>
      `version ${shown(input)} must match [a-z0-9][a-z0-9._-]*, at most 63 characters`,
  })
  .meta({ description: "A version of a model: a word or an integer, such as `v3` or `3`." });

/**
 * Lower-case HTTP field names (RFC 9110 section 5.1 token, without upper case), without the
 * underscores that an Envoy at the edge drops.
 */
export const HeaderName = z
  .string()
  .regex(/^[a-z0-9!#$%&'*+.^`|~-]{1,128}$/, {
    error: ({ input }) =>
      `header name ${shown(input)} would be refused by Envoy: use a lower-case HTTP token such as x-user-id, without ":", "_" or spaces`,
  })
  .refine((name) => !SET_BY_WEIR.has(name), {
    error: ({ input }) =>
      `header ${String(input)} is set by Weir, and extproc strips what a client sends under it: use another name`,
  })
  // Neither is ever logged, so a decision that depends on one could not be replayed.
  .refine((name) => name !== "cookie" && name !== HEADER.overrideToken, {
    error: ({ input }) =>
      input === "cookie"
        ? "header cookie holds every cookie of a client: name the one you need under units or context, { cookie: NAME }"
        : `header ${String(input)} holds a secret, and only the signature of an override is read from it: use another name`,
  })
  .meta({ description: "Lower-case HTTP header name; pseudo-headers are not allowed." });

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
const MAX_DURATION_MS = 744 * 3_600_000;

function millisecondsIn(text: string): number {
  const [, number = "", unit = ""] = DURATION.exec(text) ?? [];
  return Number.parseFloat(number) * (UNIT_MS[unit] ?? Number.NaN);
}

const durationError = ({ input }: { readonly input?: unknown }) =>
  input === undefined
    ? "missing, and required: a duration such as 250ms, 1.5s, 2m or 1h"
    : `duration ${shown(input)} must be a number and a unit: 250ms, 1.5s, 2m or 1h`;

/** Parses `250ms`, `1.5s`, `2m`, `1h` to milliseconds. */
export const Duration = z
  .string({ error: durationError })
  .regex(DURATION, { error: durationError, abort: true })
  .refine((text) => millisecondsIn(text) >= 1 && millisecondsIn(text) <= MAX_DURATION_MS, {
    error: ({ input }) => `duration ${shortened(String(input))} must be between 1ms and 744h`,
  })
  .transform(millisecondsIn)
  .meta({ description: "A duration such as `250ms`, `1.5s`, `2m` or `1h`." });

export const BasisPoints = z
  .int({
    error: ({ input }) =>
      input === undefined
        ? "missing, and required: basis points, where 10000 is everyone"
        : `${shown(input)} must be a whole number of basis points: 100 is 1 %`,
  })
  .min(0, {
    error: ({ input }) => `${String(input)} is below 0 basis points, which is nobody: raise it`,
  })
  .max(BUCKET_COUNT, {
    error: ({ input }) =>
      `${String(input)} is over 10000 basis points, which is everyone: lower it`,
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
      `host ${shown(input)} must be "*", a lower-case name without a port, or "*.suffix"`,
  })
  .meta({ description: "`*`, a host name, or `*.suffix`." });

export const Address = z
  .strictObject({
    host: z
      .string()
      .min(1)
      .max(253)
      .regex(/^([A-Za-z0-9._-]+|[0-9A-Fa-f.]*(:[0-9A-Fa-f.]*){2,})$/, {
        error: ({ input }) =>
          `${shown(input)} is not a host name or an IP address: write no scheme and no path, and the port under port`,
      })
      .meta({ description: "DNS name or IP address of the pods." }),
    port: z.int().min(1).max(65_535).meta({ description: "TCP port." }),
  })
  .meta({ description: "Where pods are reached." });
export type Address = z.infer<typeof Address>;
