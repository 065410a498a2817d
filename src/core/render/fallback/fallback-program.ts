import type { PolicyIssue } from "../../../schema/policy-issue.js";
import type { CompiledPolicy } from "../../policy/compiled-policy.js";
import { luaLiteral } from "./lua-literal.js";
import { DECIDE_LUA } from "./lua/decide.js";
import { HASH_LUA } from "./lua/hash.js";
import { ON_REQUEST_LUA } from "./lua/on-request.js";
import { UNIT_ID_LUA } from "./lua/unit-id.js";
import { policyTable } from "./policy-table.js";

/**
 * An object of Kubernetes has at most 1.5 MiB, and a chunk of LuaJIT 65,536 constants: about 2,500
 * experiments fit, or 10,000 models with 1,000 experiments.
 */
export const MAX_FALLBACK_BYTES = 512 * 1024;

export type Fallback = {
  /** Source of a Lua filter for Envoy; absent: there can be none for this policy. */
  readonly program?: string;
  /** What it leaves to extproc, in the order of the policy. */
  readonly warnings: readonly PolicyIssue[];
};

/**
 * A program that stands in for extproc while it is away: units keep the arms they have. It knows
 * the policy as it was rendered, and of that the units, holdouts, layers, arms, eligibility by
 * headers and residency; no overrides, limits, shadows or health.
 */
export function fallbackOf(policy: CompiledPolicy): Fallback {
  const lawless = policy.residency.flatMap(({ when }, at) =>
    when.conditions === null
      ? [
          {
            path: ["residency", at, "when"],
            message: `Envoy cannot evaluate this rule while extproc is away, so no arm is kept then and default versions serve: ${REMEDY}`,
          },
        ]
      : [],
  );
  if (lawless.length > 0) return { warnings: lawless };
  const program = [
    `local POLICY = ${luaLiteral(policyTable(policy))}`,
    ...[HASH_LUA, UNIT_ID_LUA, DECIDE_LUA, ON_REQUEST_LUA].map((part) => part.trim()),
  ].join("\n\n");
  return program.length > MAX_FALLBACK_BYTES
    ? { warnings: [tooLarge(program.length)] }
    : { program: `${program}\n`, warnings: notComputable(policy) };
}

const REMEDY =
  'compare headers only, as in request.headers["x-country"] in ["AE", "SA"], joined by &&';

function notComputable({ source, experiments }: CompiledPolicy): readonly PolicyIssue[] {
  return source.experiments.flatMap(({ name }, at) =>
    experiments.get(name)?.eligibility?.conditions === null
      ? [
          {
            path: ["experiments", at, "eligibility"],
            message: `Envoy cannot evaluate this while extproc is away, so the default version serves the units of ${name} then: ${REMEDY}`,
          },
        ]
      : [],
  );
}

const tooLarge = (bytes: number): PolicyIssue => ({
  path: ["experiments"],
  message: `Envoy's stand-in for extproc would take ${bytes} bytes, over the limit of ${MAX_FALLBACK_BYTES}, so no arm is kept while extproc is away and default versions serve: split the policy`,
});
