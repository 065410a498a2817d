import type { Environment } from "@marcbachmann/cel-js";
import { armRanges } from "../../schema/experiment.js";
import type { Experiment } from "../../schema/experiment.js";
import type { Model } from "../../schema/model.js";
import type { Policy } from "../../schema/policy.js";
import type { PolicyIssue } from "../../schema/policy-issue.js";
import { celEnvironment, compileExpression, type CompiledExpression } from "../cel/expression.js";
import { invariant } from "../invariant.js";
import type { CompiledLimit } from "../limit/limit.js";
import { shadowCluster, versionKey } from "../render/envoy/names.js";
import { modelIndexOf } from "../routing/match-model.js";
import type {
  CompiledArm,
  CompiledAttribute,
  CompiledExperiment,
  CompiledModel,
  CompiledPolicy,
  CompiledVersion,
} from "./compiled-policy.js";
import { inputsRead } from "./inputs-read.js";
import { policyVersion } from "./policy-version.js";

type Path = PolicyIssue["path"];
type Compile = (text: string, path: Path) => CompiledExpression;

/**
 * Compiles a policy that the schema and its rules accept. What is left to go wrong are the CEL
 * expressions; all of their mistakes come back at once.
 */
export function compilePolicy(
  policy: Policy,
  overrideKeys: ReadonlyMap<string, Uint8Array> = new Map(),
): { readonly policy: CompiledPolicy } | { readonly issues: readonly PolicyIssue[] } {
  const issues: PolicyIssue[] = [];
  const expressions: CompiledExpression[] = [];
  const compile = expressionCompiler(
    celEnvironment(Object.keys(policy.units), policy.context),
    issues,
    expressions,
  );
  const models = policy.models.map((model) => compileModel(policy, model, compile));
  const residency = policy.residency.map((rule, at) => ({
    when: compile(rule.when, ["residency", at, "when"]),
    regions: new Set(rule.versionsIn),
  }));
  if (issues.length > 0) return { issues };
  return {
    policy: {
      source: policy,
      name: policy.metadata.name,
      version: policyVersion(policy),
      models: new Map(models.map((model) => [model.name, model])),
      modelIndex: modelIndexOf(models),
      // Sorted, since the order of keys in the file is no part of the policy's version.
      units: new Map(
        Object.keys(policy.units)
          .sort()
          .map((name) => [name, policy.units[name]?.from ?? []]),
      ),
      attributes: compileAttributes(policy),
      limits: new Map(policy.limits.map((limit) => [limit.name, compileQuota(limit)])),
      residency,
      overrides: policy.overrides,
      overrideKeys,
      ...inputsRead(policy, expressions),
    },
  };
}

function expressionCompiler(
  environment: Environment,
  issues: PolicyIssue[],
  expressions: CompiledExpression[],
): Compile {
  // A limit without `models` belongs to every model: compiled, and reported, once.
  const compiled = new Map<string, CompiledExpression>();
  return (text, path) => {
    const place = path.join(".");
    const known = compiled.get(place);
    if (known !== undefined) return known;
    const expression = compileAt(text, path);
    compiled.set(place, expression);
    return expression;
  };

  function compileAt(text: string, path: Path): CompiledExpression {
    const result = compileExpression(environment, text);
    if ("expression" in result) {
      expressions.push(result.expression);
      return result.expression;
    }
    issues.push({ path, message: result.error });
    return { text, headers: [], readsDevice: false, evaluate: () => "error" };
  }
}

function compileModel(policy: Policy, model: Model, compile: Compile): CompiledModel {
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
  const mine = <T extends { readonly models?: readonly string[] | undefined }>(
    items: readonly T[],
  ) => items.filter((item) => item.models?.includes(model.name) ?? true);
  return {
    name: model.name,
    hosts: model.match.hosts,
    pathPrefix: model.match.pathPrefix,
    versions,
    defaultVersion: version(model.default),
    fallback: version(model.fallback ?? model.default),
    holdouts: mine(policy.holdouts),
    experiments: policy.experiments.flatMap((experiment, at) =>
      experiment.model === model.name ? [compileExperiment(experiment, at, version, compile)] : [],
    ),
    shadows: policy.shadows.flatMap((shadow, at) =>
      shadow.model === model.name
        ? [compileShadow(shadow, at, version(shadow.version), compile)]
        : [],
    ),
    limits: policy.limits.flatMap((limit, at) =>
      (limit.models?.includes(model.name) ?? true) ? [compileLimitRule(limit, at, compile)] : [],
    ),
  };
}

function compileExperiment(
  experiment: Experiment,
  at: number,
  version: (name: string) => CompiledVersion,
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
    layer: layer ?? null,
    eligibility:
      eligibility === undefined ? null : compile(eligibility, ["experiments", at, "eligibility"]),
    arms,
    totalShare: experiment.arms.reduce((total, arm) => total + arm.share, 0),
    choosesVersion: arms.some((arm) => arm.version !== null),
  };
}

function compileShadow(
  shadow: Policy["shadows"][number],
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
): CompiledModel["limits"][number] {
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
