import type { Environment } from "@marcbachmann/cel-js";
import { armRanges } from "../../schema/experiment.js";
import type { Experiment } from "../../schema/experiment.js";
import type { Model } from "../../schema/model.js";
import type { Policy } from "../../schema/policy.js";
import type { PolicyIssue } from "../../schema/policy-issue.js";
import type { Shadow } from "../../schema/shadow.js";
import { celEnvironment, compileExpression, type CompiledExpression } from "../cel/expression.js";
import { unassignedOf } from "../experiment/assign.js";
import { invariant } from "../invariant.js";
import type { CompiledLimit } from "../limit/limit.js";
import { shadowCluster, versionKey } from "../render/envoy/names.js";
import { compileDomain } from "../rate-limit/rate-limit-tree.js";
import { modelIndexOf } from "../routing/match-model.js";
import type {
  CompiledArm,
  CompiledAttribute,
  CompiledExperiment,
  CompiledLimitRule,
  CompiledModel,
  CompiledPolicy,
  CompiledVersion,
} from "./compiled-policy.js";
import { inputsRead } from "./inputs-read.js";
import { policyVersion } from "./policy-version.js";

type Path = PolicyIssue["path"];
type Compile = (text: string, path: Path) => CompiledExpression;

type Compiled = { readonly policy: CompiledPolicy } | { readonly issues: readonly PolicyIssue[] };

/**
 * Compiles a policy that the schema and its rules accept. What is left to go wrong are the CEL
 * expressions; all of their mistakes come back at once.
 */
export function compilePolicy(
  policy: Policy,
  overrideKeys: ReadonlyMap<string, Uint8Array> = new Map(),
): Compiled {
  const steps = compileInSteps(policy, policyVersion(policy), overrideKeys);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** The same in short steps, for who has requests to answer meanwhile. */
export function* compileInSteps(
  policy: Policy,
  version: string,
  overrideKeys: ReadonlyMap<string, Uint8Array>,
): Steps<Compiled> {
  const environment = celEnvironment(Object.keys(policy.units), policy.context);
  const { compile, issues, expressions } = expressionCompiler(environment);
  const residency = yield* eachOf(policy.residency, (rule, at) => ({
    when: compile(rule.when, ["residency", at, "when"]),
    regions: new Set(rule.versionsIn),
  }));
  const limits = yield* eachOf(policy.limits, (limit, at) => ({
    models: limit.models,
    value: compileLimitRule(limit, at, compile),
  }));
  const scope: Scope = {
    holdouts: byModel(
      policy.holdouts.map(({ models, ...holdout }) => ({
        models,
        value: { ...holdout, salt: `holdout:${holdout.name}` },
      })),
    ),
    experiments: byModel(policy.experiments.map(placedInModel)),
    shadows: byModel(policy.shadows.map(placedInModel)),
    limits: byModel(limits),
    residency: residency.map(({ when }) => when),
    layerSalt: layerSalts(policy),
  };
  const models: CompiledModel[] = [];
  for (const model of policy.models) models.push(yield* compileModel(model, scope, compile));
  const domains = yield* eachOf(policy.rateLimits ?? [], compileDomain);
  if (issues.length > 0) return { issues };
  return {
    policy: {
      source: policy,
      name: policy.metadata.name,
      version,
      models: new Map(models.map((model) => [model.name, model])),
      modelIndex: modelIndexOf(models),
      experiments: new Map(
        models.flatMap(({ experiments }) => experiments.map((one) => [one.name, one] as const)),
      ),
      // Sorted, since the order of keys in the file is no part of the policy's version.
      units: new Map(
        Object.keys(policy.units)
          .sort()
          .map((name) => [name, policy.units[name]?.from ?? []]),
      ),
      attributes: compileAttributes(policy),
      limits: new Map(policy.limits.map((limit) => [limit.name, compileQuota(limit)])),
      rateLimits: new Map(domains.map((domain) => [domain.name, domain])),
      residency,
      onOverload: policy.onOverload ?? "default",
      overrides: policy.overrides,
      overrideKeys,
      ...inputsRead(policy, expressions),
    },
  };
}

/** Work that stops between its steps and goes on when it is asked to. */
export type Steps<T> = Generator<undefined, T, undefined>;

function* eachOf<T, R>(items: readonly T[], step: (item: T, at: number) => R): Steps<readonly R[]> {
  const results: R[] = [];
  for (const [at, item] of items.entries()) {
    results.push(step(item, at));
    yield;
  }
  return results;
}

/** Stands for an expression with a mistake, until all mistakes are found. */
const NOTHING_READ = {
  ...{ headers: [], readsDevice: false, conditions: null },
  evaluate: () => "error",
} as const satisfies Omit<CompiledExpression, "text">;

/** A text is compiled once: in large policies many experiments have the same. */
function expressionCompiler(environment: Environment) {
  const issues: PolicyIssue[] = [];
  const expressions: CompiledExpression[] = [];
  const results = new Map<string, ReturnType<typeof compileExpression>>();
  const compile: Compile = (text, path) => {
    const known = results.get(text);
    const result = known ?? compileExpression(environment, text);
    if (known === undefined) results.set(text, result);
    if ("error" in result) {
      issues.push({ path, message: result.error });
      return { ...NOTHING_READ, text };
    }
    if (known === undefined) expressions.push(result.expression);
    return result.expression;
  };
  return { compile, issues, expressions };
}

/** What of a policy belongs to a model, by the name of the model. */
type Scope = {
  readonly holdouts: ByModel<CompiledModel["holdouts"][number]>;
  readonly experiments: ByModel<{ readonly item: Experiment; readonly at: number }>;
  readonly shadows: ByModel<{ readonly item: Shadow; readonly at: number }>;
  readonly limits: ByModel<CompiledLimitRule>;
  /** Residency rules are for every model. */
  readonly residency: readonly CompiledExpression[];
  readonly layerSalt: (layer: string) => string;
};
type ByModel<T> = (model: string) => readonly T[];

const placedInModel = <T extends { readonly model: string }>(item: T, at: number) => ({
  models: [item.model],
  value: { item, at },
});

function layerSalts({ layers }: Policy): Scope["layerSalt"] {
  const salts = new Map(layers.map(({ name }) => [name, `layer:${name}`]));
  return (layer) => {
    const salt = salts.get(layer);
    invariant(salt !== undefined, `layer ${layer} was checked before`);
    return salt;
  };
}

type Scoped<T> = { readonly models: readonly string[] | undefined; readonly value: T };

/** The items that name a model, and those that name none, in file order; models share the latter. */
function byModel<T>(items: readonly Scoped<T>[]): ByModel<T> {
  type Placed = { readonly at: number; readonly value: T };
  const everywhere: Placed[] = [];
  const named = new Map<string, Placed[]>();
  items.forEach(({ models, value }, at) => {
    if (models === undefined) everywhere.push({ at, value });
    for (const model of new Set(models)) {
      const placed = named.get(model) ?? [];
      named.set(model, placed);
      placed.push({ at, value });
    }
  });
  const valuesOf = (placed: readonly Placed[]) => placed.map(({ value }) => value);
  const shared = valuesOf(everywhere);
  return (model) => {
    const placed = named.get(model);
    return placed === undefined
      ? shared
      : valuesOf([...everywhere, ...placed].sort((left, right) => left.at - right.at));
  };
}

function* compileModel(model: Model, scope: Scope, compile: Compile): Steps<CompiledModel> {
  const versions = new Map(
    model.versions.map(({ name, region }): [string, CompiledVersion] => [
      name,
      { name, key: versionKey(model.name, name), region },
    ]),
  );
  const version = (name: string) => {
    const found = versions.get(name);
    invariant(found !== undefined, `version ${name} of model ${model.name} was checked before`);
    return found;
  };
  const experiments = yield* eachOf(scope.experiments(model.name), ({ item, at }) =>
    compileExperiment(item, at, version, scope.layerSalt, compile),
  );
  const shadows = yield* eachOf(scope.shadows(model.name), ({ item, at }) =>
    compileShadow(item, at, version(item.version), compile),
  );
  const limits = scope.limits(model.name);
  yield;
  return {
    name: model.name,
    hosts: model.match.hosts,
    pathPrefix: model.match.pathPrefix,
    versions,
    defaultVersion: version(model.default),
    fallback: version(model.fallback ?? model.default),
    holdouts: scope.holdouts(model.name),
    experiments,
    shadows,
    limits,
    seedSalt: `seed:${model.name}`,
    headersInExpressions: headersIn([
      ...scope.residency,
      ...experiments.map(({ eligibility }) => eligibility),
      ...[...shadows, ...limits].map(({ when }) => when),
    ]),
  };
}

function headersIn(expressions: readonly (CompiledExpression | null)[]): readonly string[] {
  return [...new Set(expressions.flatMap((expression) => expression?.headers ?? []))];
}

function compileExperiment(
  experiment: Experiment,
  at: number,
  version: (name: string) => CompiledVersion,
  layerSalt: Scope["layerSalt"],
  compile: Compile,
): CompiledExperiment {
  const { name, phase, unit, hash, layer, eligibility } = experiment;
  const arms = armRanges(experiment).map((range, index): CompiledArm => {
    const served = experiment.arms[index]?.version;
    return { ...range, version: served === undefined ? null : version(served) };
  });
  return {
    name,
    phase,
    unit,
    hash,
    seed: experiment.seed ?? name,
    layer: layer === undefined ? null : { ...layer, salt: layerSalt(layer.name) },
    eligibility:
      eligibility === undefined ? null : compile(eligibility, ["experiments", at, "eligibility"]),
    arms,
    totalShare: experiment.arms.reduce((total, arm) => total + arm.share, 0),
    choosesVersion: arms.some((arm) => arm.version !== null),
    unassigned: unassignedOf(name, phase),
  };
}

function compileShadow(
  shadow: Shadow,
  at: number,
  version: CompiledVersion,
  compile: Compile,
): CompiledModel["shadows"][number] {
  return {
    name: shadow.name,
    version,
    region: shadow.region ?? version.region,
    ownPods: shadow.address !== undefined,
    cluster: shadowCluster(shadow),
    unit: shadow.unit,
    share: shadow.share,
    salt: `shadow:${shadow.seed ?? shadow.name}`,
    when: shadow.when === undefined ? null : compile(shadow.when, ["shadows", at, "when"]),
  };
}

function compileLimitRule(
  limit: Policy["limits"][number],
  at: number,
  compile: Compile,
): CompiledLimitRule {
  return {
    name: limit.name,
    key: limit.key,
    when: limit.when === undefined ? null : compile(limit.when, ["limits", at, "when"]),
    missing: limit.missing,
    costHeader: limit.cost.header,
    defaultCost: limit.cost.default,
    maxCost: limit.cost.max,
  };
}

function compileQuota(limit: Policy["limits"][number]): CompiledLimit {
  const { name, quota, enforcement, overshoot, onStoreFailure } = limit;
  return {
    name,
    requests: quota.requests,
    periodMs: quota.period,
    burst: quota.burst ?? quota.requests,
    enforce: enforcement === "enforce",
    overshoot: overshoot / 100,
    onStoreFailure,
  };
}

function compileAttributes(policy: Policy): CompiledAttribute[] {
  return (["device", "geo", "features"] as const).flatMap((family) =>
    Object.entries(policy.context[family]).map(([name, { from, type }]) => ({
      family,
      name,
      from,
      type,
    })),
  );
}
