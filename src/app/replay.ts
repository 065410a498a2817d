import type { CompiledPolicy } from "../core/policy/compiled-policy.js";
import { canonicalJson } from "../core/policy/policy-version.js";
import { decide } from "../core/routing/decide.js";
import { headerViewOf } from "../core/routing/facts.js";
import type { AssignmentEvent } from "../schema/events.js";

export type Replayed =
  | { readonly kind: "same" }
  | { readonly kind: "different"; readonly differences: readonly Difference[] }
  /** Decided by a policy that is not at hand. */
  | { readonly kind: "otherPolicy" }
  /** The safe default after an internal error: there is nothing to compute again. */
  | { readonly kind: "error" };

export type Difference = {
  readonly field: string;
  readonly logged: unknown;
  readonly recomputed: unknown;
};

/** Computes a logged decision again, from nothing but its line and the policy it names. */
export function replay(
  policies: ReadonlyMap<string, CompiledPolicy>,
  event: AssignmentEvent,
): Replayed {
  const policy = policies.get(event.policy);
  if (policy === undefined) return { kind: "otherPolicy" };
  if (event.versionReason === "error") return { kind: "error" };
  const { facts } = event;
  const assignment = decide(
    policy,
    {
      method: facts.method,
      path: facts.path,
      host: facts.host,
      headers: headerViewOf(facts.headers),
      principal: facts.principal,
      unhealthy: new Set(facts.unhealthy),
      ...(facts.override === undefined
        ? {}
        : { replayedOverride: new Map(Object.entries(facts.override)) }),
    },
    Date.parse(event.at),
  );
  const charged = ({ limit, cost }: { readonly limit: string; readonly cost: number }) => ({
    limit,
    cost,
  });
  const differences = differencesOf(
    { ...pick(event), limits: event.limits.map(charged) },
    assignment === null ? {} : { ...pick(assignment), limits: assignment.charges.map(charged) },
  );
  return differences.length === 0 ? { kind: "same" } : { kind: "different", differences };
}

type Compared = Pick<AssignmentEvent, "model" | "version" | "versionReason" | "seed" | "shadow"> & {
  readonly arms: readonly unknown[];
};

const pick = ({ model, version, versionReason, arms, shadow, seed }: Compared) => ({
  model,
  version,
  versionReason,
  arms,
  shadow,
  seed,
});

function differencesOf(
  logged: Readonly<Record<string, unknown>>,
  recomputed: Readonly<Record<string, unknown>>,
): readonly Difference[] {
  return Object.entries(logged).flatMap(([field, value]) => {
    const other = recomputed[field] ?? null;
    return canonicalJson(value) === canonicalJson(other)
      ? []
      : [{ field, logged: value, recomputed: other }];
  });
}
