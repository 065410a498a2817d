import type { RequestFacts } from "../core/routing/facts.js";
import type { Decision } from "../core/routing/decision.js";

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
  | { readonly kind: "refused"; readonly decision: Decision; readonly id: string };

/** Never throws and never waits: an internal error is an admitted default with reason `error`. */
export type HandleRequest = (facts: RequestFacts) => RequestOutcome;
