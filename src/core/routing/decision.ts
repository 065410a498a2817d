import type { OverrideRefusal } from "../experiment/override.js";

/** Why an experiment did, or did not, put a request in an arm. A closed set: it labels metrics. */
export const REASONS = [
  "assigned",
  "override",
  "holdout",
  "notInLayerSlot",
  "ineligible",
  "noUnit",
  "outsideShare",
  "versionTaken",
  "unhealthy",
  "residency",
  "shed",
  "error",
] as const;
export type Reason = (typeof REASONS)[number];

export type ArmDecision = {
  readonly experiment: string;
  readonly phase: number;
  /** Null when the request is in no arm. */
  readonly arm: string | null;
  /** 0..9999 for range hashes, 0..total-1 for cumulative ones; null when nothing was drawn. */
  readonly bucket: number | null;
  readonly reason: Reason;
  /** Low-cardinality detail of the reason, such as `tooLong` of `noUnit` or the holdout's name. */
  readonly because?: string;
};

/** One quota to charge; the store answers with a LimitVerdict. */
export type Charge = {
  readonly limit: string;
  /** Of the quota, among those of the limit. */
  readonly key: string;
  readonly cost: number;
  /** True: refused whatever is left, as where part of the key is absent and the limit says so. */
  readonly isBarred?: boolean;
};

export type LimitVerdict = {
  readonly limit: string;
  readonly kind: "admitted" | "limited" | "wouldLimit";
  readonly cost: number;
  /** Cost units that could still come at once; never negative. */
  readonly remaining: number;
  /** When the quota is whole again. */
  readonly resetAfterMs: number;
  /** When this cost would be admitted; 0 if it was. */
  readonly retryAfterMs: number;
};

/** What a decision says before quotas are charged. Pure: same policy, facts and time, same value. */
export type Assignment = {
  readonly model: string;
  readonly version: string;
  /** Why this version: `assigned` by an arm, or what sent the request elsewhere; null: the default. */
  readonly versionReason: Reason | null;
  readonly arms: readonly ArmDecision[];
  /** Whether an override was sent, and why it was refused. */
  readonly override: "none" | "trusted" | OverrideRefusal;
  readonly shadow: {
    readonly name: string;
    readonly version: string;
    readonly cluster: string;
  } | null;
  /** Unsigned 32-bit seed for models that sample; null when no unit is known. */
  readonly seed: number | null;
  readonly charges: readonly Charge[];
  /** CEL expressions that failed, as on an absent header; each counted as "no". */
  readonly expressionErrors: number;
  /** Set when no version may serve the request: residency forbids all of them. */
  readonly refused: "residency" | null;
  readonly policy: string;
};

export type Decision = Omit<Assignment, "charges"> & {
  readonly limits: readonly LimitVerdict[];
  /** False: some enforced limit refused, and nothing was charged. */
  readonly admitted: boolean;
};
