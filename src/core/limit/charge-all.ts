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

export type Asked<Answer extends Standing> = {
  readonly charge: Charge;
  readonly limit: CompiledLimit;
  readonly standing: Answer | Refusal;
  /** What the store must now take from the quota; undefined: nothing is charged. */
  readonly taken: (Answer & { readonly kind: "admitted" }) | undefined;
};

type Refusal = Extract<Standing, { readonly kind: "limited" }>;
type Limits = ReadonlyMap<string, CompiledLimit>;
type Ask<Answer> = (charge: Charge, limit: CompiledLimit, cost: number) => Answer;

/**
 * Asks every quota; all or nothing: beside the refusal of an enforced limit, what would have passed
 * keeps its quota. `ask` changes nothing.
 */
export function askAll<Answer extends Standing>(
  charges: readonly Charge[],
  limits: Limits,
  ask: Ask<Answer>,
): readonly Asked<Answer>[] {
  const asked = charges.map((charge) => {
    const limit = limits.get(charge.limit);
    invariant(limit !== undefined, `limit ${charge.limit} belongs to the policy in force`);
    return askOne(charge, limit, ask);
  });
  return asked.some(isRefusal) ? asked.map((one) => uncharged(one, ask)) : asked;
}

function askOne<Answer extends Standing>(
  charge: Charge,
  limit: CompiledLimit,
  ask: Ask<Answer>,
): Asked<Answer> {
  if (charge.isBarred === true) {
    return { charge, limit, standing: nameless(limit), taken: undefined };
  }
  const standing = ask(charge, limit, charge.cost);
  return { charge, limit, standing, taken: isAdmitted(standing) ? standing : undefined };
}

const isAdmitted = <Answer extends Standing>(
  standing: Answer,
): standing is Answer & { readonly kind: "admitted" } => standing.kind === "admitted";

/** Nothing to charge, and no time at which it would pass: the caller has to name itself. */
const nameless = ({ periodMs }: CompiledLimit): Refusal => ({
  kind: "limited",
  retryAfterMs: periodMs,
  remaining: 0,
  resetAfterMs: periodMs,
});

const isRefusal = ({ limit, standing }: Asked<Standing>) =>
  limit.enforce && standing.kind === "limited";

function uncharged<Answer extends Standing>(asked: Asked<Answer>, ask: Ask<Answer>): Asked<Answer> {
  if (asked.taken === undefined) return asked;
  return { ...asked, standing: ask(asked.charge, asked.limit, 0), taken: undefined };
}

export function verdictOf({ charge, limit, standing }: Asked<Standing>): LimitVerdict {
  const isPassed = standing.kind === "admitted";
  return {
    limit: charge.limit,
    cost: charge.cost,
    remaining: standing.remaining,
    resetAfterMs: standing.resetAfterMs,
    kind: isPassed ? "admitted" : limit.enforce ? "limited" : "wouldLimit",
    retryAfterMs: isPassed ? 0 : standing.retryAfterMs,
  };
}
