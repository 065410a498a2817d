import type { Decision, LimitVerdict } from "../../../../src/core/routing/decision.js";
import type { CompiledLimit } from "../../../../src/core/limit/limit.js";

/** A request in one arm, with no shadow and no limits. */
export function aDecision(overrides: Partial<Decision> = {}): Decision {
  return {
    model: "magika",
    version: "v3",
    versionReason: "assigned",
    arms: [
      { experiment: "magika-v3", phase: 2, arm: "treatment", bucket: 5321, reason: "assigned" },
    ],
    override: "none",
    shadow: null,
    seed: 7,
    refused: null,
    policy: "0123456789abcdef",
    limits: [],
    expressionErrors: 0,
    admitted: true,
    ...overrides,
  };
}

export function aVerdict(overrides: Partial<LimitVerdict> = {}): LimitVerdict {
  return {
    limit: "per-tenant",
    kind: "admitted",
    cost: 1,
    remaining: 50,
    resetAfterMs: 29_500,
    retryAfterMs: 0,
    ...overrides,
  };
}

export function aLimit(overrides: Partial<CompiledLimit> = {}): CompiledLimit {
  return {
    name: "per-tenant",
    requests: 100,
    periodMs: 1000,
    burst: 200,
    enforce: true,
    overshoot: 0.1,
    onStoreFailure: "local",
    ...overrides,
  };
}
