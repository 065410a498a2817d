import { DeadlineBatcher } from "../core/batching/deadline-batcher.js";
import { simulate } from "./simulate.js";
import type { Outcome, Simulated, SimulatedRequest, World } from "./simulate.js";

/** Ours, with its defaults and what a warm-up would tell it; nothing is tuned to a trace. */
export function ours({ latency }: World): DeadlineBatcher<SimulatedRequest> {
  return new DeadlineBatcher({
    ...{ maxBatchSize: latency.maxBatchSize, maxQueued: 100_000, maxQueueDelayMs: 5 },
    ...{ maxPaddingShare: 0.25, profile: latency.warmUp(latency.lengths[0] ?? 1) },
  });
}

export function answered({ outcomes }: Simulated): readonly Outcome[] {
  return outcomes.map((outcome) => {
    if (outcome === undefined) throw new Error("every request is answered");
    return outcome;
  });
}

/** Share of the requests that were answered in time. */
export function goodput(outcomes: readonly Outcome[]): number {
  return outcomes.filter(({ isOnTime }) => isOnTime).length / outcomes.length;
}

/** Of those that were answered at all. */
export function latencyMs(outcomes: readonly Outcome[], share: number): number {
  const times = outcomes
    .filter(({ refused }) => refused === undefined)
    .map(({ atMs, arrival }) => atMs - arrival.atMs)
    .sort((a, b) => a - b);
  return times[Math.floor(share * (times.length - 1))] ?? NaN;
}

export function meanBatch(outcomes: readonly Outcome[]): number {
  const ran = outcomes.filter(({ refused }) => refused === undefined);
  return ran.length / ran.reduce((batches, { batchSize }) => batches + 1 / batchSize, 0);
}

/**
 * Jain's index of what tenants got, each in relation to its max-min fair share of what was served:
 * (sum x)^2 / (n * sum x^2); 1 is fair.
 */
export function fairness(outcomes: readonly Outcome[]): number {
  const tenants = [...new Set(outcomes.map(({ arrival }) => arrival.tenant))];
  const rows = tenants.map((tenant) => {
    const own = outcomes.filter(({ arrival }) => arrival.tenant === tenant);
    return { asked: own.length, got: own.filter(({ isOnTime }) => isOnTime).length };
  });
  let left = rows.reduce((sum, { got }) => sum + got, 0);
  const shares = rows
    .sort((a, b) => a.asked - b.asked)
    .map(({ asked, got }, index) => {
      const fair = Math.min(asked, left / (rows.length - index));
      left -= fair;
      return got / fair;
    });
  const sum = shares.reduce((total, share) => total + share, 0);
  return sum ** 2 / (shares.length * shares.reduce((total, share) => total + share ** 2, 0));
}

export type Refusals = {
  readonly count: number;
  /** Share of them that no instance had time for: all were busy as long as they could begin. */
  readonly busy: number;
  /** Share of them that would have been late even if everybody else had made room for them. */
  readonly late: number;
};

/**
 * Whether requests were refused for good reason. In overload both shares cannot be high: any one of
 * those that are refused could be served, in place of one that is.
 *
 * @param idle of the same simulation
 */
export function refusals(
  world: World,
  { outcomes, idle }: Simulated,
  sampleSize: number,
): Refusals {
  const all = outcomes.flatMap((outcome, index) =>
    outcome?.refused === undefined || outcome.refused === "full" ? [] : [index],
  );
  const step = Math.max(1, Math.floor(all.length / sampleSize));
  const sample = all.filter((_index, at) => at % step === 0);
  const of = (index: number) => outcomes[index];
  const busy = all.filter((index) => !couldBegin(world, of(index), idle)).length;
  const late = sample.filter((index) => wouldBeLate(world, of(index), index)).length;
  return { count: all.length, busy: busy / all.length, late: late / sample.length };
}

/** True: an instance was idle at a time at which this request could have begun. */
function couldBegin(
  { latency }: World,
  outcome: Outcome | undefined,
  idle: Simulated["idle"],
): boolean {
  if (outcome === undefined) throw new Error("it is of outcomes");
  const { atMs: fromMs, length, budgetMs } = outcome.arrival;
  const untilMs = fromMs + budgetMs - latency.ms(1, length);
  const span = idle[firstEndingAfter(idle, fromMs + LEAST_IDLE_MS)];
  return span !== undefined && Math.max(span.fromMs, fromMs) + LEAST_IDLE_MS < untilMs;
}

/** Less is the rounding of times that are equal. */
const LEAST_IDLE_MS = 1e-9;

function firstEndingAfter(spans: Simulated["idle"], atMs: number): number {
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((spans[middle]?.untilMs ?? Infinity) > atMs) high = middle;
    else low = middle + 1;
  }
  return low;
}

function wouldBeLate(world: World, outcome: Outcome | undefined, index: number): boolean {
  if (outcome === undefined) throw new Error("the sample is of outcomes");
  const { arrival, atMs, refused } = outcome;
  if (refused === "expired") {
    return atMs + world.latency.ms(1, arrival.length) > arrival.atMs + arrival.budgetMs;
  }
  const spared = simulate(world, ours(world), index).outcomes[index];
  return spared?.isOnTime !== true;
}
