/** What a watch of the event loop saw at one tick. */
export type LoopSample = {
  /** How much later than due the tick came, in milliseconds. */
  readonly lagMs: number;
  /** Streams that are open and have no decision yet. */
  readonly undecidedStreams: number;
  /** Of a monotonic clock, milliseconds. */
  readonly nowMs: number;
};

export type ShedState = {
  readonly isShedding: boolean;
  /** When the first of an unbroken row of late ticks came; null: the last one was in time. */
  readonly lateSinceMs: number | null;
  /** Calm seen since the last late tick, and how much of it ends the shedding. */
  readonly calmMs: number;
  readonly calmNeededMs: number;
  readonly changedAtMs: number;
  readonly sampledAtMs: number;
};

/**
 * Far from what a machine with stolen CPU does: a stall, however long, is one late tick, and only a
 * row of them is overload. Envoy waits 50 ms for a decision as Weir renders it.
 */
export const LATE_MS = 25;
const LATE_FOR_MS = 200;
const MAX_UNDECIDED_STREAMS = 10_000;

/** Well below what begins it, or a load on the edge would switch to and fro. */
const CALM_LAG_MS = 5;
const CALM_UNDECIDED_STREAMS = MAX_UNDECIDED_STREAMS / 2;

/**
 * The calm may be owed to the shedding. So a relapse within this time doubles the calm that is
 * asked for, and a load that only shedding bears is tried ever more rarely.
 */
const RELAPSE_MS = 10_000;
const MIN_CALM_MS = 500;
const MAX_CALM_MS = 16_000;

export const initialShedState = (nowMs: number): ShedState => ({
  isShedding: false,
  lateSinceMs: null,
  calmMs: 0,
  calmNeededMs: MIN_CALM_MS,
  changedAtMs: nowMs - RELAPSE_MS,
  sampledAtMs: nowMs,
});

/** Whether to shed after this tick. Ticks are expected every 10 ms, and may come at any time. */
export function nextShedState(state: ShedState, sample: LoopSample): ShedState {
  const { nowMs } = sample;
  const isLate = sample.lagMs > LATE_MS;
  const isCrowded = sample.undecidedStreams > MAX_UNDECIDED_STREAMS;
  const next = {
    ...state,
    sampledAtMs: nowMs,
    lateSinceMs: isLate ? (state.lateSinceMs ?? nowMs) : null,
    calmMs: isLate || isCrowded ? 0 : state.calmMs + calmIn(state, sample),
  };
  if (state.isShedding) {
    const isOver = next.calmMs >= state.calmNeededMs;
    return isOver ? { ...next, isShedding: false, changedAtMs: nowMs } : next;
  }
  const isOverloaded = next.lateSinceMs !== null && nowMs - next.lateSinceMs >= LATE_FOR_MS;
  if (!isOverloaded && !isCrowded) return next;
  const isRelapse = nowMs - state.changedAtMs < RELAPSE_MS;
  const calmNeededMs = isRelapse ? Math.min(2 * state.calmNeededMs, MAX_CALM_MS) : MIN_CALM_MS;
  return { ...next, isShedding: true, calmMs: 0, calmNeededMs, changedAtMs: nowMs };
}

/** A tick that is neither late nor calm adds nothing, and takes nothing away. */
function calmIn({ sampledAtMs }: ShedState, sample: LoopSample): number {
  const isCalm = sample.lagMs < CALM_LAG_MS && sample.undecidedStreams < CALM_UNDECIDED_STREAMS;
  return isCalm ? sample.nowMs - sampledAtMs : 0;
}
