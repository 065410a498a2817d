import type { CompiledPolicy } from "../core/policy/compiled-policy.js";
import {
  chargesOf,
  limitsOf,
  planCharges,
  type ChargePlan,
  type Descriptor,
  type PlannedCharge,
  type PlannedDescriptor,
} from "../core/rate-limit/plan-charges.js";
import type { LimitVerdict } from "../core/routing/decision.js";
import type { Clock, LimitStore, RateLimitMetrics } from "./ports.js";

export type RateLimitQuery = {
  readonly domain: string;
  readonly descriptors: readonly Descriptor[];
};

export type DescriptorStatus = {
  readonly descriptor: PlannedDescriptor;
  /** Undefined: no quota was asked. */
  readonly verdict: LimitVerdict | undefined;
  readonly isOver: boolean;
};

export type RateLimitAnswer = {
  readonly domain: string;
  /** Over the limit: nothing was charged. */
  readonly isOver: boolean;
  /** In the order of the descriptors. */
  readonly statuses: readonly DescriptorStatus[];
};

export type ShouldRateLimit = (query: RateLimitQuery) => RateLimitAnswer;

export type RateLimitPorts = {
  readonly policy: () => CompiledPolicy;
  readonly limits: LimitStore;
  readonly clock: Clock;
  readonly metrics: RateLimitMetrics;
};

/** Never waits, as the store never does. */
export function makeShouldRateLimit(ports: RateLimitPorts): ShouldRateLimit {
  const { clock, limits, metrics } = ports;
  return ({ domain, descriptors }) => {
    const startedAtMs = clock.monotonicMs();
    const plan = planCharges(ports.policy().rateLimits.get(domain), descriptors);
    const verdicts = charge(plan, limits, clock.nowMs());
    const answer = answerOf(domain, plan, verdicts);
    for (const { descriptor, verdict, isOver } of answer.statuses) {
      const { kind, label, hasValues } = descriptor;
      const outcome = kind !== "charged" ? kind : outcomeOf(verdict, isOver);
      metrics.judged(kind === "unmatched" ? "-" : domain, label, outcome, hasValues);
    }
    metrics.answered((clock.monotonicMs() - startedAtMs) / 1000);
    return answer;
  };
}

function charge(plan: ChargePlan, store: LimitStore, nowMs: number): readonly LimitVerdict[] {
  const { charges } = plan;
  if (charges.length === 0) return [];
  const limits = limitsOf(plan, false);
  if (charges.some(({ rule, hits }) => rule.isQuota || hits === 0)) {
    // Whether it is over is known before anything is charged: then nothing is.
    const asked = store.peek(chargesOf(plan, true), limits, nowMs);
    const isQuotaUp = isWholeQuotaOver(plan, asked);
    if (isQuotaUp || asked.some(({ kind }) => kind === "limited")) {
      return store.peek(chargesOf(plan, true), limitsOf(plan, isQuotaUp), nowMs);
    }
  }
  const verdicts = store.charge(chargesOf(plan, false), limits, nowMs);
  charges.forEach((one, at) => {
    chargeWhatIsLeft(one, verdicts[at], store, nowMs);
  });
  return verdicts;
}

const isOver = (verdict: LimitVerdict | undefined) =>
  verdict !== undefined && verdict.kind !== "admitted";

/** Quotas are alternatives: a request is over them when it is over every one. */
function isWholeQuotaOver({ charges }: ChargePlan, verdicts: readonly LimitVerdict[]): boolean {
  const ofQuotas = verdicts.filter((_, at) => charges[at]?.rule.isQuota);
  return ofQuotas.length > 0 && ofQuotas.every(isOver);
}

/** What was spent before it was asked for is gone, as far as there was any. */
function chargeWhatIsLeft(
  { key, rule: { limit, chargesRefused } }: PlannedCharge,
  verdict: LimitVerdict | undefined,
  store: LimitStore,
  nowMs: number,
): void {
  if (!chargesRefused || verdict === undefined || !isOver(verdict)) return;
  const cost = Math.min(verdict.remaining, verdict.cost);
  const limits = new Map([[limit.name, limit]]);
  if (cost > 0) store.charge([{ limit: limit.name, key, cost }], limits, nowMs);
}

function answerOf(
  domain: string,
  plan: ChargePlan,
  verdicts: readonly LimitVerdict[],
): RateLimitAnswer {
  const statuses = plan.descriptors.map((descriptor): DescriptorStatus => {
    const verdict = verdicts[descriptor.charge];
    const isShadow = verdict?.kind === "wouldLimit" && descriptor.rule?.isQuota !== true;
    return { descriptor, verdict, isOver: isOver(verdict) && !isShadow };
  });
  return {
    ...{ domain, statuses },
    isOver: verdicts.some(({ kind }) => kind === "limited") || isWholeQuotaOver(plan, verdicts),
  };
}

function outcomeOf(verdict: LimitVerdict | undefined, isOver: boolean) {
  if (isOver) return "overLimit";
  return verdict?.kind === "wouldLimit" ? "wouldLimit" : "ok";
}
