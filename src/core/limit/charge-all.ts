import { invariant } from "../invariant.js";
import type { Charge, LimitVerdict } from "../routing/decision.js";
import type { CompiledLimit } from "./limit.js";

/** What one quota says to one cost. */
export type Standing =
  | { readonly kind: "admitted"; readonly remaining: number; readonly resetAfterMs: number }
  | {
      readonly kind: "limited";
      readonly retryAfterMs: number;
      readonly remaining: number;
      readonly resetAfterMs: number;
    };

/** What all quotas say, in the order of the charges. */
export type Standings<Answer extends Standing> = {
  readonly each: readonly (Answer | Refusal)[];
  /** What passed must now be taken from its quota. False: an enforced limit refused. */
  readonly isCharged: boolean;
};

type Refusal = Extract<Standing, { readonly kind: "limited" }>;
type Limits = ReadonlyMap<string, CompiledLimit>;
/** `at`: the index of the charge. */
type Ask<Answer> = (charge: Charge, limit: CompiledLimit, cost: number, at: number) => Answer;

/**
 * Asks every quota; all or nothing: beside the refusal of an enforced limit, what would have passed
 * keeps its quota. `ask` changes nothing.
 */
export function askAll<Answer extends Standing>(
  charges: readonly Charge[],
  limits: Limits,
  ask: Ask<Answer>,
): Standings<Answer> {
  const each: (Answer | Refusal)[] = [];
  let isCharged = true;
  for (const [at, charge] of charges.entries()) {
    const limit = limitOf(charge, limits);
    const isBarred = charge.isBarred === true;
    const standing = isBarred ? nameless(limit) : ask(charge, limit, charge.cost, at);
    if (standing.kind === "limited" && limit.enforce) isCharged = false;
    each.push(standing);
  }
  if (isCharged) return { each, isCharged };
  const uncharged = each.map((standing, at) => {
    const charge = charges[at];
    if (charge === undefined || standing.kind === "limited") return standing;
    return ask(charge, limitOf(charge, limits), 0, at);
  });
  return { each: uncharged, isCharged };
}

function limitOf(charge: Charge, limits: Limits): CompiledLimit {
  const limit = limits.get(charge.limit);
  invariant(limit !== undefined, `limit ${charge.limit} belongs to the policy in force`);
  return limit;
}

/** Nothing to charge, and no time at which it would pass: the caller has to name itself. */
const nameless = ({ periodMs }: CompiledLimit): Refusal => ({
  kind: "limited",
  retryAfterMs: periodMs,
  remaining: 0,
  resetAfterMs: periodMs,
});

export function verdictsOf(
  charges: readonly Charge[],
  limits: Limits,
  { each }: Standings<Standing>,
): readonly LimitVerdict[] {
  return each.map((standing, at): LimitVerdict => {
    const charge = charges[at];
    invariant(charge !== undefined, "every standing is that of a charge");
    const isPassed = standing.kind === "admitted";
    return {
      limit: charge.limit,
      cost: charge.cost,
      remaining: standing.remaining,
      resetAfterMs: standing.resetAfterMs,
      kind: isPassed ? "admitted" : limitOf(charge, limits).enforce ? "limited" : "wouldLimit",
      retryAfterMs: isPassed ? 0 : standing.retryAfterMs,
    };
  });
}
