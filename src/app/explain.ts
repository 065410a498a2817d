import type { CompiledPolicy } from "../core/policy/compiled-policy.js";
import { decide } from "../core/routing/decide.js";
import type { Step } from "../core/routing/decide.js";
import type { Decision } from "../core/routing/decision.js";
import type { RequestFacts } from "../core/routing/facts.js";
import type { LimitStore } from "./ports.js";

export type Explanation = { readonly decision: Decision | null; readonly steps: readonly Step[] };

/** What would be decided for a request now, step by step. Charges nothing and logs nothing. */
export function explain(
  policy: CompiledPolicy,
  limits: LimitStore,
  facts: RequestFacts,
  nowMs: number,
): Explanation {
  const steps: Step[] = [];
  const assignment = decide(policy, facts, nowMs, (step) => steps.push(step));
  if (assignment === null) return { decision: null, steps };
  const { charges, ...rest } = assignment;
  const verdicts = limits.peek(charges, policy.limits, nowMs);
  steps.push({ step: "verdicts", result: verdicts });
  const limited = verdicts.some(({ kind }) => kind === "limited");
  const admitted = !limited && rest.refused === null;
  return { decision: { ...rest, limits: verdicts, admitted }, steps };
}
