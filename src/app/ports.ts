import type { Charge, Decision, LimitVerdict } from "../core/routing/decision.js";
import type { AssignmentEvent, PredictionEvent } from "../schema/events.js";
import type { CompiledLimit } from "../core/limit/limit.js";

/** Every interface to the world, on one screen. Adapters implement them; tests use honest twins. */

export type Clock = {
  /** Wall clock, milliseconds since the epoch. */
  nowMs(): number;
  /** Monotonic milliseconds; differences only. */
  monotonicMs(): number;
};

export type Random = {
  /** Cryptographically strong bytes. */
  bytes(count: number): Uint8Array;
};

/** Where quotas live. Synchronous on purpose: the request path never waits for a store. */
export type LimitStore = {
  /**
   * Charges all of them or none: when an enforced limit refuses, no quota changes.
   * Answers in the order of `charges`.
   */
  charge(
    charges: readonly Charge[],
    limits: ReadonlyMap<string, CompiledLimit>,
    nowMs: number,
  ): readonly LimitVerdict[];
  /** The verdicts that charge() would give; changes nothing. */
  peek: LimitStore["charge"];
};

/** Append-only record of what happened. Never blocks and never throws: a full buffer drops and counts. */
export type EventLog<Event> = {
  append(event: Event): void;
  /** Writes what is buffered and closes; no line that was accepted is lost. */
  close(): Promise<void>;
};
export type AssignmentLog = EventLog<AssignmentEvent>;
export type PredictionLog = EventLog<PredictionEvent>;

/** Which versions fail their health check now, as `<model>/<version>`. */
export type VersionHealth = { readonly unhealthy: () => ReadonlySet<string> };

/** Whether this process cannot keep up now, and sheds. */
export type Overload = { readonly isShedding: () => boolean };

export type DecisionMetrics = {
  decided(decision: Decision, seconds: number): void;
  passedThrough(): void;
  /** Overloaded: the request went to its default version, or was refused. */
  shed(model: string, action: "default" | "reject"): void;
  failed(): void;
};

/** What became of one descriptor of a request to the rate limit service. */
export type DescriptorOutcome =
  "ok" | "overLimit" | "wouldLimit" | "unlimited" | "replaced" | "unmatched";

export type RateLimitMetrics = {
  /** A label with values is one of any number: callers choose them. */
  judged(domain: string, label: string, outcome: DescriptorOutcome, hasValues: boolean): void;
  answered(seconds: number): void;
  /** What was sent is no request, or met a bug of ours. */
  refused(because: "badRequest" | "internal"): void;
};
