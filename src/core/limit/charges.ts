import type { CompiledLimitRule } from "../policy/compiled-policy.js";
import type { RequestFacts } from "../routing/facts.js";
import type { Charge } from "../routing/decision.js";
import type { UnitReading } from "../experiment/unit-id.js";
import { quotaKeyOf } from "./quota-key.js";

/** What a key may be made of, besides headers. */
export type ChargeInputs = {
  readonly facts: RequestFacts;
  readonly unit: (name: string) => UnitReading;
  readonly model: string;
  readonly version: string;
  /** Arm of an experiment; undefined: in none. */
  readonly arm: (experiment: string) => string | undefined;
};

/** The quota a rule charges for a request; null: the rule does not apply to it. */
export function chargeOf(rule: CompiledLimitRule, inputs: ChargeInputs): Charge | null {
  const values = rule.key.map((part) => keyPart(part, inputs));
  const complete = !values.includes(undefined);
  if (!complete && rule.missing === "skip") return null;
  const key = quotaKeyOf(values);
  const cost = costOf(rule, inputs.facts);
  return complete || rule.missing === "shared"
    ? { limit: rule.name, key, cost }
    : { limit: rule.name, key, cost, isBarred: true };
}

/** A client cannot make itself cheaper: what is no number above zero counts as the maximum. */
function costOf(rule: CompiledLimitRule, facts: RequestFacts): number {
  if (rule.costHeader === undefined) return rule.defaultCost;
  const values = facts.headers.values(rule.costHeader);
  if (values.length === 0) return rule.defaultCost;
  const text = values.length === 1 ? (values[0] ?? "") : "";
  const cost = /^\d{1,12}(\.\d{1,6})?$/.test(text) ? Number(text) : 0;
  return cost > 0 ? Math.min(cost, rule.maxCost) : rule.maxCost;
}

function withoutQuery(path: string): string {
  const end = path.indexOf("?");
  return end < 0 ? path : path.slice(0, end);
}

function keyPart(part: CompiledLimitRule["key"][number], inputs: ChargeInputs): string | undefined {
  if (typeof part === "object") {
    if ("arm" in part) return inputs.arm(part.arm);
    const values = inputs.facts.headers.values(part.header);
    return values.length > 1 ? values.join(", ") : values[0];
  }
  switch (part) {
    case "model":
      return inputs.model;
    case "version":
      return inputs.version;
    case "host":
      return inputs.facts.host;
    case "path":
      return withoutQuery(inputs.facts.path);
    case "principal":
      return inputs.facts.principal;
    default: {
      const unit = inputs.unit(part);
      return unit.kind === "unit" ? unit.id : undefined;
    }
  }
}
