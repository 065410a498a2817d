import { explain } from "../../app/explain.js";
import type { Clock, LimitStore, VersionHealth } from "../../app/ports.js";
import { readFacts } from "../../app/read-facts.js";
import type { CompiledPolicy } from "../../core/policy/compiled-policy.js";
import type { AdminRoute } from "./route.js";

/** `/policy`: the policy in force. `/explain`: what would be decided for a request, step by step. */
export function policyRoutes(options: {
  readonly policy: () => CompiledPolicy;
  readonly limits: LimitStore;
  readonly clock: Clock;
  readonly health: VersionHealth;
}): readonly AdminRoute[] {
  return [
    {
      method: "GET",
      path: "/policy",
      answer: () => {
        const { name, version, source } = options.policy();
        return { status: 200, body: { name, version, policy: source } };
      },
    },
    {
      method: "POST",
      path: "/explain",
      answer: ({ body }) => {
        const facts = readFacts(body);
        const unhealthy = new Set([...facts.unhealthy, ...options.health.unhealthy()]);
        const explained = explain(
          options.policy(),
          options.limits,
          { ...facts, unhealthy },
          options.clock.nowMs(),
        );
        return { status: 200, body: explained };
      },
    },
  ];
}
