import type { CelContext, CelVerdict, CompiledExpression } from "../cel/expression.js";
import { celContextOf } from "../cel/request-context.js";
import { assignArms } from "../experiment/assign.js";
import { bucketOf, seedOf } from "../experiment/bucket.js";
import { readOverride } from "../experiment/override.js";
import type { OverrideReading } from "../experiment/override.js";
import { readUnit } from "../experiment/unit-id.js";
import type { UnitReading } from "../experiment/unit-id.js";
import { chargeOf } from "../limit/charges.js";
import type { CompiledModel, CompiledPolicy, CompiledVersion } from "../policy/compiled-policy.js";
import { HEADER } from "../../schema/headers.js";
import { allowedIn, chooseVersion } from "./choose-version.js";
import type { ArmDecision, Assignment, Charge, Decision, Reason } from "./decision.js";
import type { RequestFacts } from "./facts.js";
import { matchModel } from "./match-model.js";

/** One step of a decision, for `/explain`. */
export type Step = { readonly step: string; readonly result: unknown };
/** Absent on the request path, where even what it would be told is not made. */
export type Note = (step: Step) => void;

/** What is read at most once per request, and only when something asks for it. */
type Reading = {
  readonly unit: (name: string) => UnitReading;
  readonly evaluate: (expression: CompiledExpression) => CelVerdict;
  readonly errors: () => number;
};

/**
 * Decides everything about a request except its quotas. Pure: the same policy, facts and time give
 * the same assignment on every replica, after every restart, and in the offline replayer.
 *
 * @param nowMs  milliseconds since the epoch; only the expiry of override tokens depends on it
 * @param note   called with every step, for explanations
 * @returns      null when no model matches: the request is not ours
 */
export function decide(
  policy: CompiledPolicy,
  facts: RequestFacts,
  nowMs: number,
  note?: Note,
): Assignment | null {
  const model = matchModel(policy.modelIndex, facts.host, facts.path);
  note?.({ step: "model", result: model?.name ?? null });
  if (model === undefined) return null;
  const reading = readingOf(policy, model, facts, note);
  const override = overrideOf(policy, facts, nowMs);
  note?.({ step: "override", result: noted(override) });
  const { unit, evaluate } = reading;
  const trusted = override.kind === "trusted" ? override.arms : NO_OVERRIDE;
  const assigned = assignArms(model, { unit, evaluate, override: trusted });
  note?.({ step: "arms", result: assigned.arms });
  const wanted = assigned.choice ?? { version: model.defaultVersion, reason: null, by: -1 };
  const regions = regionsOf(policy, reading);
  const choice = chooseVersion(model, wanted.version, regions, facts.unhealthy);
  const version = choice.kind === "version" ? choice.version : wanted.version;
  const moved = choice.kind === "version" ? choice.moved : "residency";
  note?.({ step: "version", result: { wanted: wanted.version.name, served: version.name, moved } });
  const arms = armsAfterMove(assigned.arms, wanted.by, moved);
  const refused = choice.kind === "refused";
  const shadow = refused ? null : chooseShadow(model, version, regions, facts, reading);
  note?.({ step: "shadow", result: shadow });
  const charges = refused ? [] : chargesOf(model, version, arms, facts, reading);
  note?.({ step: "limits", result: charges.map(({ limit, cost }) => ({ limit, cost })) });
  return {
    model: model.name,
    version: version.name,
    versionReason: moved ?? wanted.reason,
    arms,
    override: override.kind === "refused" ? override.because : override.kind,
    shadow,
    seed: seedFor(policy, model, reading),
    charges,
    expressionErrors: reading.errors(),
    refused: refused ? "residency" : null,
    policy: policy.version,
  };
}

/**
 * The decision while extproc is overloaded: the default version, no arm, shadow or quota. Health and
 * residency hold all the same, and only where there are residency rules is an expression evaluated.
 *
 * @returns null when no model matches
 */
export function shedDecision(policy: CompiledPolicy, facts: RequestFacts): Decision | null {
  const model = matchModel(policy.modelIndex, facts.host, facts.path);
  if (model === undefined) return null;
  const hasRules = policy.residency.length > 0;
  const regions = hasRules ? regionsOf(policy, readingOf(policy, model, facts)) : ANYWHERE;
  const choice = chooseVersion(model, model.defaultVersion, regions, facts.unhealthy);
  return choice.kind === "version"
    ? defaultDecision(policy, model, "shed", choice.version)
    : { ...defaultDecision(policy, model, "shed"), refused: "residency", admitted: false };
}

/** No arm, no shadow, no quota: what is decided when deciding failed or has no time. */
export function defaultDecision(
  policy: CompiledPolicy,
  model: CompiledModel,
  why: "error" | "shed",
  version: CompiledVersion = model.defaultVersion,
): Decision {
  return {
    model: model.name,
    version: version.name,
    versionReason: why,
    arms: [],
    override: "none",
    shadow: null,
    seed: null,
    limits: [],
    expressionErrors: 0,
    admitted: true,
    refused: null,
    policy: policy.version,
  };
}

const NO_OVERRIDE: ReadonlyMap<string, string> = new Map();
const ANYWHERE: readonly ReadonlySet<string>[] = [];

function readingOf(
  policy: CompiledPolicy,
  model: CompiledModel,
  facts: RequestFacts,
  note?: Note,
): Reading {
  const units = new Map<string, UnitReading>();
  const unit = (name: string): UnitReading => {
    const known = units.get(name);
    if (known !== undefined) return known;
    const reading = readUnit(policy.units.get(name) ?? [], facts.headers);
    units.set(name, reading);
    note?.({ step: "unit", result: { unit: name, ...reading } });
    return reading;
  };
  let context: CelContext | undefined;
  let errors = 0;
  const evaluate = (expression: CompiledExpression): CelVerdict => {
    context ??= celContextOf(
      facts,
      model.headersInExpressions,
      policy.attributes,
      [...policy.units.keys()].map((name) => [name, unit(name)] as const),
    );
    const verdict = expression.evaluate(context);
    if (verdict === "error") errors++;
    note?.({ step: "expression", result: { expression: expression.text, verdict } });
    return verdict;
  };
  return { unit, evaluate, errors: () => errors };
}

function overrideOf(policy: CompiledPolicy, facts: RequestFacts, nowMs: number): OverrideReading {
  if (facts.replayedOverride !== undefined)
    return { kind: "trusted", arms: facts.replayedOverride };
  if (policy.overrides === undefined) return { kind: "none" };
  const request = {
    header: facts.headers.values(policy.overrides.header),
    token: facts.headers.values(HEADER.overrideToken),
    principal: facts.principal,
  };
  const reading = readOverride(policy.overrides, policy.name, policy.overrideKeys, request, nowMs);
  return reading.kind === "trusted" && !knowsEveryArm(policy, reading.arms)
    ? { kind: "refused", because: "unknownArm" }
    : reading;
}

/** A misspelt arm must not silently test the default. */
function knowsEveryArm(policy: CompiledPolicy, arms: ReadonlyMap<string, string>): boolean {
  return [...arms].every(([name, arm]) =>
    policy.experiments.get(name)?.arms.some((one) => one.name === arm),
  );
}

function noted(override: OverrideReading): unknown {
  return override.kind === "trusted"
    ? { kind: override.kind, arms: Object.fromEntries(override.arms) }
    : override;
}

/** Sets of regions, all of which must hold. */
function regionsOf({ residency }: CompiledPolicy, { evaluate }: Reading) {
  if (residency.length === 0) return ANYWHERE;
  return residency.filter(({ when }) => evaluate(when) === "yes").map(({ regions }) => regions);
}

/** The arm whose version was not served says so, and stops counting as treated. */
function armsAfterMove(
  arms: readonly ArmDecision[],
  by: number,
  moved: Reason | null,
): readonly ArmDecision[] {
  if (moved === null) return arms;
  return arms.map((arm, at) => (at === by ? { ...arm, reason: moved } : arm));
}

function chooseShadow(
  model: CompiledModel,
  served: CompiledVersion,
  regions: readonly ReadonlySet<string>[],
  facts: RequestFacts,
  { unit, evaluate }: Reading,
): Assignment["shadow"] {
  for (const shadow of model.shadows) {
    const reading = unit(shadow.unit);
    if (reading.kind !== "unit") continue;
    if (bucketOf(reading.id, shadow.salt) >= shadow.share) continue;
    if (!allowedIn(shadow.region, regions)) continue;
    // Copying a version to its own pods would double their load and compare nothing.
    if (!shadow.ownPods && (shadow.version === served || facts.unhealthy.has(shadow.version.key))) {
      continue;
    }
    if (shadow.when !== null && evaluate(shadow.when) !== "yes") continue;
    return { name: shadow.name, version: shadow.version.name, cluster: shadow.cluster };
  }
  return null;
}

function chargesOf(
  model: CompiledModel,
  version: CompiledVersion,
  arms: readonly ArmDecision[],
  facts: RequestFacts,
  { unit, evaluate }: Reading,
): readonly Charge[] {
  const arm = (experiment: string) =>
    arms.find((one) => one.experiment === experiment)?.arm ?? undefined;
  const inputs = { facts, unit, arm, model: model.name, version: version.name };
  const charges: Charge[] = [];
  for (const rule of model.limits) {
    if (rule.when !== null && evaluate(rule.when) !== "yes") continue;
    const charge = chargeOf(rule, inputs);
    if (charge !== null) charges.push(charge);
  }
  return charges;
}

/** Drawn from the first unit, by name, that is known, so that a caller samples alike on every retry. */
function seedFor(policy: CompiledPolicy, model: CompiledModel, { unit }: Reading): number | null {
  for (const name of policy.units.keys()) {
    const reading = unit(name);
    if (reading.kind === "unit") return seedOf(reading.id, model.seedSalt);
  }
  return null;
}
