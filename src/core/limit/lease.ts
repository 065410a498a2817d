import type { Quota } from "./gcra.js";

/**
 * What a shared store keeps of one quota, and how it answers a replica. The script that Redis runs
 * (adapters/redis/lease-script.ts) is the twin of `renewLease`, operation by operation.
 *
 * The bucket is kept as its level, not as a theoretical arrival time: what was used leaks out at
 * `requests / periodMs`. The two say the same while the clock runs forward; a level cannot lock a key
 * out when the clock is set back, and loses no digits at a million units a second.
 *
 * Leased units do not leak until they are spent or given back: nobody has used them yet. So at every
 * moment `used` + all that is held <= burst, but for what replicas borrowed before they could ask.
 */
export type LeaseState = {
  readonly used: number;
  readonly atMs: number;
  /** The quota that `used` was counted by. */
  readonly burst: number;
  readonly unitsPerMs: number;
  readonly holders: readonly Holder[];
};

export type Holder = {
  readonly replica: string;
  readonly sequence: number;
  readonly spent: number;
  readonly held: number;
  readonly demand: number;
  /** A holder that is silent until then is dead: what it held counts as spent. */
  readonly untilMs: number;
};

/** What a replica says of one quota. All figures are totals, so a report may be lost or repeated. */
export type LeaseReport = {
  readonly replica: string;
  /** Rises with every report of the replica: what arrives late is told from what is new. */
  readonly sequence: number;
  /** All that this replica ever charged to the quota. */
  readonly spent: number;
  /** How much of `spent` the store is known to have recorded. */
  readonly acked: number;
  /** Leased units not yet spent. */
  readonly held: number;
  /** Units to lease beyond `held`; 0: none. */
  readonly want: number;
  /** Fewer than this are of no use: the cost of a request. */
  readonly need: number;
  /** Units asked for per millisecond, of late. */
  readonly demand: number;
  /** The level as the replica knows it, should the store have lost it. */
  readonly known: number;
  /** How long the store may wait for the next report. */
  readonly holdMs: number;
};

export type LeaseAnswer = {
  readonly granted: number;
  /** The level, and what other replicas hold; both count against the burst. */
  readonly used: number;
  readonly heldByOthers: number;
  /** Until `need` more units are free, if nobody else takes them. */
  readonly retryAfterMs: number;
  /** `spent` as it is recorded now. */
  readonly recorded: number;
};

/** A millionth of a unit: tenths that were added up must still make a whole. */
export const UNIT_TOLERANCE = 1e-6;

/** An expiry further ahead than any replica asks for was written by a clock that was set back. */
export const MAX_HOLD_MS = 60_000;

export const unitsPerMs = (quota: Quota) => quota.requests / quota.periodMs;

/**
 * Charges what a replica spent, and leases it its share of what is free.
 *
 * @returns undefined when a later report of the same replica was heard before: nothing changes
 */
export function renewLease(
  stored: LeaseState | undefined,
  report: LeaseReport,
  quota: Quota,
  nowMs: number,
): { readonly state: LeaseState; readonly answer: LeaseAnswer } | undefined {
  const rate = unitsPerMs(quota);
  const state = stored ?? { used: report.known, atMs: nowMs, burst: quota.burst, unitsPerMs: rate };
  let used = Math.max(0, state.used - Math.max(0, nowMs - state.atMs) * state.unitsPerMs);
  // A reload made the quota another one: it counts as spent at most, and locks nobody out.
  if (state.burst !== quota.burst || state.unitsPerMs !== rate) used = Math.min(used, quota.burst);
  const others: Holder[] = [];
  let recorded = report.acked;
  let heldByOthers = 0;
  let demand = report.demand;
  for (const holder of stored?.holders ?? []) {
    if (holder.replica === report.replica) {
      if (report.sequence <= holder.sequence) return undefined;
      recorded = Math.max(recorded, holder.spent);
    } else if (holder.untilMs <= nowMs) {
      used += holder.held;
    } else {
      const isFromTheFuture = holder.untilMs - nowMs > MAX_HOLD_MS;
      others.push(isFromTheFuture ? { ...holder, untilMs: nowMs + MAX_HOLD_MS } : holder);
      heldByOthers += holder.held;
      demand += holder.demand;
    }
  }
  used += Math.max(0, report.spent - recorded);
  recorded = Math.max(recorded, report.spent);
  const free = quota.burst - used - heldByOthers - report.held;
  const granted = grantOf(report, free, demand);
  const { replica, sequence } = report;
  const held = report.held + granted;
  const untilMs = nowMs + report.holdMs;
  const mine = { replica, sequence, spent: recorded, held, demand: report.demand, untilMs };
  return {
    state: { used, atMs: nowMs, burst: quota.burst, unitsPerMs: rate, holders: [...others, mine] },
    answer: {
      granted,
      used,
      heldByOthers,
      retryAfterMs: Math.max(0, (report.need - (free - granted)) / rate),
      recorded,
    },
  };
}

/** A share by demand, but never less than is of use: four replicas with a quarter each admit nobody. */
function grantOf({ want, need, demand: own }: LeaseReport, free: number, demand: number): number {
  if (want <= 0 || free + UNIT_TOLERANCE < need) return 0;
  const share = demand > 0 ? (free * own) / demand : free;
  return Math.min(want, Math.max(share, need));
}

/** How long a store keeps the state of a quota after its last report: until it is whole again. */
export function keepMs(state: LeaseState): number {
  const emptyMs = state.used / state.unitsPerMs;
  const heldMs = state.holders.reduce((max, { untilMs }) => Math.max(max, untilMs - state.atMs), 0);
  return Math.ceil(emptyMs + heldMs) + 1000;
}
