import { z } from "zod";
import { shown } from "./shape-issues.js";
import { Cel, Duration, HeaderName, Name } from "./values.js";

/** Words in a limit key that are not the name of a unit. */
export const KEY_WORDS = ["model", "version", "host", "path", "principal"] as const;

const KEY_PART = `the name of a unit, one of ${KEY_WORDS.join(", ")}, { header: NAME } or { arm: EXPERIMENT }`;

export const LimitKeyPart = z
  .union(
    [
      z.string(),
      z.strictObject({ header: HeaderName }),
      z.strictObject({ arm: Name.meta({ description: "Name of an experiment." }) }),
    ],
    { error: ({ input }) => `must be ${KEY_PART}, not ${shown(input)}` },
  )
  .meta({ description: `${KEY_PART}.` });
export type LimitKeyPart = z.infer<typeof LimitKeyPart>;

export const Limit = z
  .strictObject({
    name: Name,
    key: z.array(LimitKeyPart).default([]).meta({
      description: "One quota per distinct value; empty: one quota for all.",
    }),
    models: z.array(Name).min(1).optional().meta({ description: "Default: every model." }),
    when: Cel.optional(),
    missing: z.enum(["shared", "skip", "reject"]).default("shared").meta({
      description:
        "A part of the key is absent: share one quota with all such requests, do not limit, or refuse.",
    }),
    quota: z
      .strictObject({
        requests: z.number().positive().max(1e9).meta({ description: "Cost units per period." }),
        period: Duration,
        burst: z.number().min(1).max(1e9).optional().meta({
          description: "Cost units that may come at once; default: `requests`.",
        }),
      })
      .meta({ description: "How much may pass." }),
    cost: z
      .strictObject({
        header: HeaderName.optional(),
        default: z
          .number()
          .min(0)
          .max(1e9)
          .default(1)
          .meta({ description: "Cost without the header." }),
        max: z
          .number()
          .positive()
          .max(1e9)
          .default(1)
          .meta({ description: "Most that one request costs." }),
      })
      .prefault({})
      .meta({
        description:
          "What one request costs. A header value that is no positive number, or is over max, counts as max.",
      }),
    enforcement: z.enum(["enforce", "observe"]).default("enforce").meta({
      description: "observe: decide and count, but admit.",
    }),
    overshoot: z.number().min(0).max(100).default(10).meta({
      description:
        "With a shared store: percent of the burst that all replicas together may admit beyond the quota, before the store has answered; each may admit one request.",
    }),
    onStoreFailure: z.enum(["local", "admit", "reject"]).default("local").meta({
      description:
        "When a shared store is away: this replica's share of the quota, admit, or refuse.",
    }),
  })
  .meta({ description: "A quota, enforced by the generic cell rate algorithm." });
export type Limit = z.infer<typeof Limit>;
