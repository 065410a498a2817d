import { z } from "zod";
import { Experiment, Holdout, Layer } from "./experiment.js";
import { Limit } from "./limit.js";
import { Model } from "./model.js";
import { Overrides } from "./override.js";
import { RateLimitDomain } from "./rate-limit.js";
import { Residency } from "./residency.js";
import { Shadow } from "./shadow.js";
import { Context, Unit } from "./unit.js";
import { Name } from "./values.js";

export const API_VERSION = "weir.dev/v1";

/** The one document an operator writes. Rules across fields are in policy-rules.ts. */
export const Policy = z
  .strictObject({
    apiVersion: z.literal(API_VERSION).meta({ description: "Version of this format." }),
    kind: z.literal("ServingPolicy").meta({ description: "What this document is." }),
    metadata: z
      .strictObject({ name: Name })
      .meta({ description: "The policy's name; override tokens are bound to it." }),
    units: z.record(Name, Unit).default({}).meta({ description: "Units by name." }),
    context: Context,
    models: z.array(Model).default([]),
    layers: z.array(Layer).default([]),
    holdouts: z.array(Holdout).default([]),
    experiments: z.array(Experiment).default([]),
    shadows: z.array(Shadow).default([]),
    limits: z.array(Limit).default([]),
    rateLimits: z.array(RateLimitDomain).optional(),
    overrides: Overrides.optional(),
    residency: z.array(Residency).default([]),
    onOverload: z.enum(["default", "reject"]).optional().meta({
      description:
        "What extproc does with requests while it is overloaded: default (so if absent) sends them to the default version, uncharged and in no experiment; reject answers 503 with retry-after.",
    }),
  })
  .refine(({ models, rateLimits = [] }) => models.length + rateLimits.length > 0, {
    path: ["models"],
    error: "the list is empty: write at least one item, or rateLimits",
  })
  .meta({ title: "ServingPolicy", description: "What Weir does with the traffic of your models." });
export type Policy = z.infer<typeof Policy>;
