import { cookiePair, cookieValues } from "../core/experiment/unit-id.js";
import { parseOverride } from "../core/experiment/override.js";
import type { CompiledModel, CompiledPolicy } from "../core/policy/compiled-policy.js";
import type { Decision } from "../core/routing/decision.js";
import type { RequestFacts } from "../core/routing/facts.js";
import { ASSIGNMENT_SCHEMA } from "../schema/events.js";
import type { AssignmentEvent } from "../schema/events.js";
import { HEADER } from "../schema/headers.js";

/** The log line of an admitted request: what was computed, and all it was computed from. */
export function assignmentEventOf(
  policy: CompiledPolicy,
  facts: RequestFacts,
  decision: Decision,
  id: string,
  nowMs: number,
): AssignmentEvent {
  const model = policy.models.get(decision.model);
  return {
    schema: ASSIGNMENT_SCHEMA,
    at: new Date(nowMs).toISOString(),
    decision: id,
    policy: decision.policy,
    model: decision.model,
    version: decision.version,
    versionReason: decision.versionReason,
    arms: [...decision.arms],
    shadow: decision.shadow,
    seed: decision.seed,
    limits: decision.limits.map(({ limit, kind, cost }) => ({ limit, kind, cost })),
    draws: model === undefined ? {} : drawsOf(model),
    facts: loggedFacts(policy, facts, decision),
  };
}

/** The same for every request of a model under one policy, so it is built once. */
const drawsByModel = new WeakMap<CompiledModel, AssignmentEvent["draws"]>();

function drawsOf(model: CompiledModel): AssignmentEvent["draws"] {
  const known = drawsByModel.get(model);
  if (known !== undefined) return known;
  const draws = Object.fromEntries(
    model.experiments.map(({ name, hash, seed, arms }) => [
      name,
      { hash, seed, shares: Object.fromEntries(arms.map((arm) => [arm.name, arm.to - arm.from])) },
    ]),
  );
  drawsByModel.set(model, draws);
  return draws;
}

/** Headers the policy reads and no others; of cookies only the named ones; never a token. */
function loggedFacts(
  policy: CompiledPolicy,
  facts: RequestFacts,
  decision: Decision,
): AssignmentEvent["facts"] {
  const headers: Record<string, string | string[]> = {};
  for (const name of policy.headersRead) {
    if (name === HEADER.overrideToken || name === policy.overrides?.header) continue;
    const values = name === "cookie" ? namedCookies(policy, facts) : facts.headers.values(name);
    const [first] = values;
    if (first !== undefined) headers[name] = values.length === 1 ? first : [...values];
  }
  return {
    method: facts.method,
    // A query may hold an API key; it is kept only where it can change the decision.
    path: policy.queryRead ? facts.path : (facts.path.split("?", 1)[0] ?? ""),
    host: facts.host,
    headers,
    ...(facts.principal === undefined ? {} : { principal: facts.principal }),
    unhealthy: [...facts.unhealthy],
    ...overrideInForce(policy, facts, decision),
  };
}

function namedCookies(policy: CompiledPolicy, facts: RequestFacts): readonly string[] {
  const pairs = policy.cookiesRead.flatMap((name) =>
    cookieValues(facts.headers, name).map((value) => cookiePair(name, value)),
  );
  return pairs.length === 0 ? [] : [pairs.join("; ")];
}

function overrideInForce(policy: CompiledPolicy, facts: RequestFacts, decision: Decision) {
  if (decision.override !== "trusted" || policy.overrides === undefined) return {};
  const arms =
    facts.replayedOverride ??
    parseOverride(facts.headers.values(policy.overrides.header).join(", ")) ??
    new Map<string, string>();
  return { override: Object.fromEntries(arms) };
}
