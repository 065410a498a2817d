import { z } from "zod";
import { shown } from "./shape-issues.js";
import { BasisPoints, BUCKET_COUNT, Cel, Name, VersionName } from "./values.js";

export const HASHES = ["fnv1a32-fmix", "fnv1a32-mod", "growthbook-v2", "murmur3-flagd"] as const;
export type HashName = (typeof HASHES)[number];

/** Hashes that cut cumulative weights; the others have anchored ranges over 10,000 buckets. */
export function isCumulative(hash: HashName): boolean {
  return hash === "fnv1a32-mod" || hash === "murmur3-flagd";
}

export const Arm = z
  .strictObject({
    name: Name,
    version: VersionName.optional().meta({
      description: "Version of the model that serves this arm; absent: the arm is only a tag.",
    }),
    start: BasisPoints.optional().meta({
      description:
        "First bucket of the arm's range. Keep it fixed while `share` grows, and nobody changes arm. Default: where the previous arm ends. Not for fnv1a32-mod and murmur3-flagd, which cut cumulative weights.",
    }),
    share: BasisPoints.meta({ description: "Size of the arm in basis points." }),
  })
  .meta({ description: "One arm of an experiment." });
export type Arm = z.infer<typeof Arm>;

const UnitName = z.string().meta({ description: "Name of the unit that is drawn." });

export const Slots = z
  .array(
    z.tuple(
      [
        z
          .int()
          .min(0)
          .max(BUCKET_COUNT - 1),
        z.int().min(1).max(BUCKET_COUNT),
      ],
      {
        error: ({ input }) =>
          `must be a range [from, to] of the layer's slots, not ${shown(input)}`,
      },
    ),
  )
  .min(1)
  .meta({ description: "Half-open ranges [from, to) of the layer's 10,000 slots." });

export const Experiment = z
  .strictObject({
    name: Name,
    model: Name,
    layer: z
      .strictObject({ name: Name, slots: Slots })
      .optional()
      .meta({ description: "Experiments in one layer never share a unit." }),
    unit: UnitName,
    hash: z.enum(HASHES).default("fnv1a32-fmix").meta({
      description: "How a unit becomes a bucket; it never changes while the experiment runs.",
    }),
    seed: z.string().min(1).max(128).optional().meta({
      description: "Salt of the draw; default: the name. A new seed re-randomises everyone.",
    }),
    phase: z.int().min(1).default(1).meta({
      description: "Raise it whenever shares change; analysis is per phase.",
    }),
    eligibility: Cel.optional(),
    arms: z.array(Arm).min(1).max(64),
    metrics: z
      .strictObject({
        primary: z.string().meta({ description: "The metric that decides." }),
        guardrails: z
          .array(z.string())
          .default([])
          .meta({ description: "Metrics that must not get worse." }),
      })
      .optional()
      .meta({ description: "Declared before the data; read by the analysis." }),
  })
  .meta({
    description:
      "A randomised comparison. Experiments are tried in file order; a request enters at most one that chooses its version.",
  });
export type Experiment = z.infer<typeof Experiment>;

export const Layer = z
  .strictObject({ name: Name, unit: UnitName })
  .meta({ description: "A set of mutually exclusive experiments on one unit." });

export const Holdout = z
  .strictObject({
    name: Name,
    unit: UnitName,
    share: BasisPoints,
    models: z.array(Name).min(1).optional().meta({ description: "Default: every model." }),
  })
  .meta({ description: "Units kept out of every experiment." });
export type Holdout = z.infer<typeof Holdout>;

/** An arm's half-open range of buckets. */
export type ArmRange = { readonly name: string; readonly from: number; readonly to: number };

/** Where the arms lie: the rules that check them and the draw that uses them must agree. */
export function armRanges({ arms, hash }: Pick<Experiment, "arms" | "hash">): readonly ArmRange[] {
  let end = 0;
  return arms.map(({ name, start, share }) => {
    const from = isCumulative(hash) ? end : (start ?? end);
    end = from + share;
    return { name, from, to: end };
  });
}
