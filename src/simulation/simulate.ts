import { RANKS_AS_DUE_AFTER_MS } from "../core/batching/deadline-batcher.js";
import type { Batcher, QueuedRequest, RefusalReason, Run } from "../core/batching/request.js";
import type { TrueLatency } from "./profile.js";
import { seeded } from "./random.js";
import type { Arrival } from "./traces.js";

export type SimulatedRequest = QueuedRequest & {
  readonly index: number;
  /** The deadline it is measured by. */
  readonly dueAtMs: number;
};

export type Outcome = {
  readonly arrival: Arrival;
  /** Of the answer, or of the refusal. */
  readonly atMs: number;
  readonly refused: RefusalReason | undefined;
  /** Items of its batch. */
  readonly batchSize: number;
  readonly isOnTime: boolean;
};

export type World = {
  readonly latency: TrueLatency;
  readonly arrivals: readonly Arrival[];
  readonly instances: number;
  readonly seed: number;
};

export type Simulated = {
  /** In the order of arrivals. */
  readonly outcomes: readonly (Outcome | undefined)[];
  /** When an instance had nothing to do, in order. */
  readonly idle: readonly Span[];
};

export type Span = { readonly fromMs: number; readonly untilMs: number };

/**
 * Discrete events in virtual time: arrivals, ends of runs, and the times at which the policy wants to
 * be asked again. The policy is the code that `weir serve` runs, or one of the others.
 *
 * @param spare index of a request that is served although it is refused: it comes in again without a
 * deadline, to see whether it would have been late; the simulation ends when that is known
 */
export function simulate(
  { latency, arrivals, instances, seed }: World,
  policy: Batcher<SimulatedRequest>,
  spare?: number,
): Simulated {
  const random = seeded(seed + 7);
  const outcomes: (Outcome | undefined)[] = new Array<undefined>(arrivals.length);
  const running: { readonly run: Run<SimulatedRequest>; readonly endsAtMs: number }[] = [];
  const idleSpans = spansOf();
  let [next, wakeAtMs] = [0, Infinity];

  const end = (request: SimulatedRequest, atMs: number, how: Partial<Outcome>) => {
    const arrival = arrivals[request.index];
    if (arrival === undefined) throw new Error("a request is of an arrival");
    const isOnTime = how.refused === undefined && atMs <= request.dueAtMs;
    outcomes[request.index] = { arrival, atMs, refused: undefined, batchSize: 0, isOnTime, ...how };
  };
  const idle = () => instances - running.length;
  const enter = (request: SimulatedRequest, nowMs: number) => {
    for (const refusal of policy.enter(request, idle(), nowMs)) {
      if (refusal.request.index === spare && refusal.request.deadlineAtMs !== Infinity) {
        enter(spared(refusal.request), nowMs);
      } else end(refusal.request, nowMs, { refused: refusal.reason });
    }
  };
  const result = () => ({ outcomes, idle: idleSpans.all() });
  const decide = (nowMs: number) => {
    for (;;) {
      const decision = policy.next(idle(), nowMs);
      for (const { request, reason } of decision.refuse) end(request, nowMs, { refused: reason });
      wakeAtMs = decision.next.kind === "wait" ? decision.next.untilMs : Infinity;
      if (decision.next.kind === "wait") return;
      const { run } = decision.next;
      running.push({ run, endsAtMs: nowMs + latency.draw(run.items, run.length, random) });
    }
  };

  for (;;) {
    const arrival = arrivals[next];
    const first = running.reduce((least, { endsAtMs }) => Math.min(least, endsAtMs), Infinity);
    const nowMs = Math.min(arrival?.atMs ?? Infinity, first, wakeAtMs);
    if (nowMs === Infinity) return result();
    if (arrival !== undefined && arrival.atMs <= nowMs) {
      enter(requestOf(arrival, next), nowMs);
      next += 1;
    }
    const ended = running.findIndex(({ endsAtMs }) => endsAtMs <= nowMs);
    for (const { run } of ended < 0 ? [] : running.splice(ended, 1)) {
      policy.ended(run, nowMs);
      for (const request of run.requests) end(request, nowMs, { batchSize: run.items });
      if (spare !== undefined && outcomes[spare] !== undefined) return result();
    }
    decide(nowMs);
    idleSpans.note(idle() > 0, nowMs);
  }
}

/** The times for which something is so, as it is noted whenever it may have changed. */
function spansOf() {
  const spans: Span[] = [];
  let fromMs = Infinity;
  return {
    note(isSo: boolean, nowMs: number) {
      if (isSo) fromMs = Math.min(fromMs, nowMs);
      else if (fromMs !== Infinity) {
        if (nowMs > fromMs) spans.push({ fromMs, untilMs: nowMs });
        fromMs = Infinity;
      }
    },
    all: () => [...spans, { fromMs, untilMs: Infinity }],
  };
}

/** The same request without a deadline, but in the place in the queue that its deadline gives it. */
function spared(request: SimulatedRequest): SimulatedRequest {
  const enqueuedAtMs = request.dueAtMs - RANKS_AS_DUE_AFTER_MS;
  return { ...request, deadlineAtMs: Infinity, enqueuedAtMs };
}

function requestOf(arrival: Arrival, index: number): SimulatedRequest {
  const { atMs, length, tenant, budgetMs } = arrival;
  return {
    ...{ index, items: 1, shapeKey: "", length, enqueuedAtMs: atMs, tenant, priority: 0 },
    ...{ deadlineAtMs: atMs + budgetMs, dueAtMs: atMs + budgetMs },
    ...{ rankMs: 0, workMs: 0, predictedMs: 0, isTaken: false },
  };
}
