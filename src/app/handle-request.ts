import { ulid } from "ulid";
import type { CompiledPolicy } from "../core/policy/compiled-policy.js";
import { decide, defaultDecision, shedDecision } from "../core/routing/decide.js";
import type { Assignment, Decision } from "../core/routing/decision.js";
import type { RequestFacts } from "../core/routing/facts.js";
import { matchModel } from "../core/routing/match-model.js";
import { assignmentEventOf } from "./assignment-event.js";
import type {
  AssignmentLog,
  Clock,
  DecisionMetrics,
  LimitStore,
  Overload,
  Random,
} from "./ports.js";

/** What to do with one request. Servers translate it to the wire. */
export type RequestOutcome =
  /** No model matches: not ours, but what a client forged is still stripped. */
  | { readonly kind: "passThrough" }
  | { readonly kind: "admitted"; readonly decision: Decision; readonly id: string }
  /** An enforced limit refused; nothing was charged. */
  | {
      readonly kind: "limited";
      readonly decision: Decision;
      readonly id: string;
      readonly retryAfterMs: number;
    }
  /** No version may serve it. */
  | { readonly kind: "refused"; readonly decision: Decision; readonly id: string }
  /** Overloaded: the default version, and a request of no record: it is not logged and has no id. */
  | { readonly kind: "shed"; readonly decision: Decision }
  /** Overloaded, and the policy says `onOverload: reject`. */
  | { readonly kind: "overloaded"; readonly decision: Decision; readonly retryAfterMs: number };

/** Never throws and never waits: an internal error is an admitted default with reason `error`. */
export type HandleRequest = (facts: RequestFacts) => RequestOutcome;

export type HandleRequestPorts = {
  /** Read once per request, so that a reload swaps whole policies. */
  readonly policy: () => CompiledPolicy;
  readonly limits: LimitStore;
  readonly overload: Overload;
  /** Undefined: assignments are not kept. */
  readonly log: AssignmentLog | undefined;
  readonly metrics: DecisionMetrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly onError: (error: unknown) => void;
};

export function makeHandleRequest(ports: HandleRequestPorts): HandleRequest {
  const { clock, log, metrics } = ports;
  return (facts) => {
    const startedAtMs = clock.monotonicMs();
    const nowMs = clock.nowMs();
    const policy = ports.policy();
    const isShed = ports.overload.isShedding();
    const decision = decideSafely(ports, policy, facts, nowMs, isShed);
    if (decision === null) {
      metrics.passedThrough();
      return { kind: "passThrough" };
    }
    if (isShed && decision.refused === null) return shed(ports, policy, decision);
    const id = decisionId(ports.random, nowMs);
    metrics.decided(decision, (clock.monotonicMs() - startedAtMs) / 1000);
    if (decision.admitted && log !== undefined) {
      // Facts that could not be decided may not be writable either.
      guarded(ports, () => {
        log.append(assignmentEventOf(policy, facts, decision, id, nowMs));
      });
    }
    return outcomeOf(decision, id);
  };
}

/** Long enough for another replica to be chosen, or for this one to recover. */
const OVERLOADED_RETRY_AFTER_MS = 1000;

function shed(
  { metrics }: HandleRequestPorts,
  { onOverload }: CompiledPolicy,
  decision: Decision,
): RequestOutcome {
  metrics.shed(decision.model, onOverload);
  return onOverload === "reject"
    ? { kind: "overloaded", decision, retryAfterMs: OVERLOADED_RETRY_AFTER_MS }
    : { kind: "shed", decision };
}

const ULID_CHARACTERS_DRAWN = 16;

function decisionId(random: Random, nowMs: number): string {
  // One draw for all: a draw costs more than its bytes. Of each, ulid takes the upper five bits.
  const bytes = random.bytes(ULID_CHARACTERS_DRAWN);
  let drawn = 0;
  return ulid(nowMs, () => (bytes[drawn++] ?? 0) / 256);
}

function guarded({ metrics, onError }: HandleRequestPorts, act: () => void): void {
  try {
    act();
  } catch (error) {
    metrics.failed();
    onError(error);
  }
}

function decideSafely(
  ports: HandleRequestPorts,
  policy: CompiledPolicy,
  facts: RequestFacts,
  nowMs: number,
  isShed: boolean,
): Decision | null {
  try {
    return isShed
      ? shedDecision(policy, facts)
      : decideAndCharge(policy, ports.limits, facts, nowMs);
  } catch (error) {
    ports.metrics.failed();
    ports.onError(error);
    const model = matchModel(policy.modelIndex, facts.host, facts.path);
    return model === undefined ? null : defaultDecision(policy, model, "error");
  }
}

/** The decision with its quotas charged; null when no model matches. */
export function decideAndCharge(
  policy: CompiledPolicy,
  limits: LimitStore,
  facts: RequestFacts,
  nowMs: number,
): Decision | null {
  const assignment = decide(policy, facts, nowMs);
  return assignment === null ? null : charge(assignment, policy, limits, nowMs);
}

/** Field by field: to leave `charges` out with a rest pattern takes longer than to charge a quota. */
function charge(
  assignment: Assignment,
  policy: CompiledPolicy,
  limits: LimitStore,
  nowMs: number,
): Decision {
  const { charges, refused } = assignment;
  const verdicts = charges.length === 0 ? [] : limits.charge(charges, policy.limits, nowMs);
  const limited = verdicts.some(({ kind }) => kind === "limited");
  return {
    model: assignment.model,
    version: assignment.version,
    versionReason: assignment.versionReason,
    arms: assignment.arms,
    override: assignment.override,
    shadow: assignment.shadow,
    seed: assignment.seed,
    expressionErrors: assignment.expressionErrors,
    refused,
    policy: assignment.policy,
    limits: verdicts,
    admitted: !limited && refused === null,
  };
}

function outcomeOf(decision: Decision, id: string): RequestOutcome {
  if (decision.refused !== null) return { kind: "refused", decision, id };
  if (decision.admitted) return { kind: "admitted", decision, id };
  const retryAfterMs = Math.max(
    ...decision.limits.map((verdict) => (verdict.kind === "limited" ? verdict.retryAfterMs : 0)),
  );
  return { kind: "limited", decision, id, retryAfterMs };
}
