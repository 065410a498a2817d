import { z } from "zod";
import { shown } from "./shape-issues.js";

/** As in Envoy's protocol; a month has 30 days and a year 365. */
export const RATE_LIMIT_UNITS = [
  "second",
  "minute",
  "hour",
  "day",
  "week",
  "month",
  "year",
] as const;
export type RateLimitUnit = (typeof RATE_LIMIT_UNITS)[number];

const MAX_UINT32 = 2 ** 32 - 1;

const Text = z.string().min(1).max(1024);

const RateLimit = z
  .strictObject({
    requestsPerUnit: z.int().min(0).max(MAX_UINT32).optional().meta({
      description: "Hits per unit; 0 refuses everything.",
    }),
    unit: z.enum(RATE_LIMIT_UNITS).optional().meta({ description: "What they are counted per." }),
    burst: z.int().min(1).max(MAX_UINT32).optional().meta({
      description: "Hits that may come at once; default: `requestsPerUnit`.",
    }),
    unlimited: z.boolean().default(false).meta({
      description: "No limit: instead of `unit`. The descriptor is known, and counted.",
    }),
    name: Text.optional().meta({ description: "What clients are told, and `replaces` names." }),
    replaces: z.array(Text).default([]).meta({
      description: "Names of limits that do not apply to a request where this one does.",
    }),
    overshoot: z.number().min(0).max(100).default(10).meta({
      description: "As of a limit.",
    }),
    onStoreFailure: z.enum(["local", "admit", "reject"]).default("local").meta({
      description: "As of a limit.",
    }),
    chargeRefused: z.boolean().default(false).meta({
      description:
        "Hits that do not fit take what is left: for costs that are known when they are spent.",
    }),
  })
  .meta({ description: "A quota, enforced by the generic cell rate algorithm." });

export const DescriptorRule = z
  .strictObject({
    key: Text.meta({ description: "Key of an entry of the request's descriptor." }),
    value: Text.optional().meta({
      description: "Its value; a `*` stands for any text. Default: every value, with a quota each.",
    }),
    rateLimit: RateLimit.optional(),
    shadowMode: z.boolean().default(false).meta({
      description: "Decide and count, but answer OK.",
    }),
    quotaMode: z.boolean().default(false).meta({
      description: "Over the limit only when every descriptor in quota mode is.",
    }),
    shareThreshold: z.boolean().default(false).meta({
      description: "All values that the `*` stands for share one quota.",
    }),
    detailedMetric: z.boolean().default(false).meta({
      description: "Metrics have the values of all entries.",
    }),
    valueToMetric: z.boolean().default(false).meta({
      description: "Metrics have the value of this entry.",
    }),
    metadata: z.record(z.string(), z.unknown()).optional().meta({
      description: "Dynamic metadata for Envoy of requests within the limit.",
    }),
    get descriptors(): z.ZodOptional<z.ZodArray<typeof DescriptorRule>> {
      return z.array(DescriptorRule).optional().meta({
        description: "Rules of the descriptor's next entry, of the same form.",
      });
    },
  })
  .meta({ id: "Descriptor", description: "What matches one entry of a descriptor." });
export type DescriptorRule = z.infer<typeof DescriptorRule>;

export const RateLimitDomain = z
  .strictObject({
    domain: Text.meta({ description: "As Envoy's rate limit filter sends it." }),
    descriptors: z.array(DescriptorRule).default([]).meta({
      description: "Rules of a descriptor's first entry.",
    }),
  })
  .meta({ description: "Limits for Envoy's own rate limit filter; docs/rate-limit-service.md." });
export type RateLimitDomain = z.infer<typeof RateLimitDomain>;

/** A `*` in the value of a rule stands for any text. */
export const isPattern = (value: string | undefined): value is string =>
  value?.includes("*") === true;

/** `key: value`, or the key alone, for messages. */
export const ruleText = ({ key, value }: Pick<DescriptorRule, "key" | "value">) =>
  shown(value === undefined ? key : `${key}: ${value}`);
