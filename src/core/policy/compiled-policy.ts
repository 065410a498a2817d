import type { HashName } from "../../schema/experiment.js";
import type { Overrides } from "../../schema/override.js";
import type { Attribute, Source } from "../../schema/unit.js";
import type { LimitKeyPart } from "../../schema/limit.js";
import type { Policy } from "../../schema/policy.js";
import type { CompiledExpression } from "../cel/expression.js";
import type { CompiledLimit } from "../limit/limit.js";
import type { ArmDecision } from "../routing/decision.js";
import type { CompiledDomain } from "../rate-limit/rate-limit-tree.js";
import type { ModelIndex } from "../routing/match-model.js";

/** A policy made ready for the request path: names resolved, expressions compiled. Immutable. */
export type CompiledPolicy = {
  readonly source: Policy;
  readonly name: string;
  /** Hash of the canonical form; the same on every replica that has the same policy. */
  readonly version: string;
  /** By name. */
  readonly models: ReadonlyMap<string, CompiledModel>;
  readonly modelIndex: ModelIndex;
  /** By name, of all models. */
  readonly experiments: ReadonlyMap<string, CompiledExperiment>;
  readonly units: ReadonlyMap<string, readonly Source[]>;
  readonly attributes: readonly CompiledAttribute[];
  readonly limits: ReadonlyMap<string, CompiledLimit>;
  /** By domain, for the rate limit service. */
  readonly rateLimits: ReadonlyMap<string, CompiledDomain>;
  readonly residency: readonly CompiledResidency[];
  readonly onOverload: "default" | "reject";
  readonly overrides: Overrides | undefined;
  readonly overrideKeys: ReadonlyMap<string, Uint8Array>;
  /** Every request header that can change a decision, lower-case, sorted. */
  readonly headersRead: readonly string[];
  /** Names of the cookies that it reads. */
  readonly cookiesRead: readonly string[];
  /** Whether an expression may read the query of the path; only then is it kept in logs. */
  readonly queryRead: boolean;
};

export type CompiledModel = {
  readonly name: string;
  readonly hosts: readonly string[];
  readonly pathPrefix: string;
  readonly versions: ReadonlyMap<string, CompiledVersion>;
  readonly defaultVersion: CompiledVersion;
  readonly fallback: CompiledVersion;
  readonly holdouts: readonly {
    readonly name: string;
    readonly unit: string;
    readonly share: number;
    readonly salt: string;
  }[];
  readonly experiments: readonly CompiledExperiment[];
  readonly shadows: readonly CompiledShadow[];
  readonly limits: readonly CompiledLimitRule[];
  /** What expressions that its requests can meet read; lower-case. */
  readonly headersInExpressions: readonly string[];
  readonly seedSalt: string;
};

export type CompiledVersion = {
  readonly name: string;
  /** `<model>/<version>`. */
  readonly key: string;
  readonly region: string | undefined;
};

export type CompiledExperiment = {
  readonly name: string;
  readonly phase: number;
  readonly unit: string;
  readonly hash: HashName;
  readonly seed: string;
  readonly layer: {
    readonly name: string;
    readonly slots: readonly (readonly [number, number])[];
    /** One string for all experiments of the layer. */
    readonly salt: string;
  } | null;
  readonly eligibility: CompiledExpression | null;
  /** Half-open bucket ranges; disjoint. */
  readonly arms: readonly CompiledArm[];
  readonly totalShare: number;
  /** Some arm names a version: a request enters at most one such experiment. */
  readonly choosesVersion: boolean;
  /** Decisions that are the same for every request, so that none is made for most of them. */
  readonly unassigned: Readonly<
    Record<"notInLayerSlot" | "ineligible" | "versionTaken", ArmDecision>
  >;
};

export type CompiledArm = {
  readonly name: string;
  readonly version: CompiledVersion | null;
  readonly from: number;
  readonly to: number;
};

export type CompiledShadow = {
  readonly name: string;
  readonly version: CompiledVersion;
  readonly region: string | undefined;
  readonly ownPods: boolean;
  readonly cluster: string;
  readonly unit: string;
  readonly share: number;
  readonly salt: string;
  readonly when: CompiledExpression | null;
};

export type CompiledLimitRule = {
  readonly name: string;
  readonly key: readonly LimitKeyPart[];
  readonly when: CompiledExpression | null;
  readonly missing: "shared" | "skip" | "reject";
  readonly costHeader: string | undefined;
  readonly defaultCost: number;
  readonly maxCost: number;
};

export type CompiledResidency = {
  readonly when: CompiledExpression;
  readonly regions: ReadonlySet<string>;
};

export type CompiledAttribute = {
  readonly family: "device" | "geo" | "features";
  readonly name: string;
  readonly from: readonly Source[];
  readonly type: Attribute["type"];
};
