/** What a watch of the event loop saw at one tick. */
export type LoopSample = {
  /** How much later than due the tick came, in milliseconds. */
  readonly lagMs: number;
  /** Streams that are open and have no decision yet. */
  readonly undecidedStreams: number;
  /**
   * CPU time that this process has used so far, milliseconds. Asked for at late ticks alone: it is a
   * system call that goes through all threads.
   */
  readonly cpuMs: () => number;
  /** Of a monotonic clock, milliseconds. */
  readonly nowMs: number;
};

export type ShedState = {
  readonly isShedding: boolean;
  /** A tick that comes more than this after its time is late. */
  readonly maxLagMs: number;
  /** The first of an unbroken row of late ticks; null: the last one was in time. */
  readonly lateSince: { readonly nowMs: number; readonly cpuMs: number } | null;
  /** Calm seen, less what was late since, and how much of it ends the shedding. */
  readonly calmMs: number;
  readonly calmNeededMs: number;
  readonly changedAtMs: number;
  readonly sampledAtMs: number;
};

/** A stall, however long, is one late tick, and only a row of them is overload. */
const LATE_FOR_MS = 200;
/**
 * Who is late and used less of the time has its CPU taken by others, as on a crowded machine: to
 * decide less would not give it back.
 */
const MIN_OWN_CPU_SHARE = 0.25;
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

export const initialShedState = (nowMs: number, maxLagMs: number): ShedState => ({
  ...{ isShedding: false, maxLagMs },
  lateSince: null,
  calmMs: 0,
  calmNeededMs: MIN_CALM_MS,
  changedAtMs: nowMs - RELAPSE_MS,
  sampledAtMs: nowMs,
});

/** Whether to shed after this tick. Ticks are expected every 10 ms, and may come at any time. */
export function nextShedState(state: ShedState, sample: LoopSample): ShedState {
  const { nowMs } = sample;
  const late = sample.lagMs > state.maxLagMs ? { nowMs, cpuMs: sample.cpuMs() } : null;
  const isCrowded = sample.undecidedStreams > MAX_UNDECIDED_STREAMS;
  const next = {
    ...state,
    sampledAtMs: nowMs,
    lateSince: late === null ? null : (state.lateSince ?? late),
    calmMs: isCrowded ? 0 : Math.max(0, state.calmMs + calmIn(state, sample)),
  };
  if (state.isShedding) {
    const isOver = next.calmMs >= state.calmNeededMs;
    return isOver ? { ...next, isShedding: false, changedAtMs: nowMs } : next;
  }
  const row = rowOf(next.lateSince, late);
  // A row that others caused is over, so that the next one is judged by itself.
  if (row === "others" && !isCrowded) return { ...next, lateSince: late };
  if (row !== "own" && !isCrowded) return next;
  const isRelapse = nowMs - state.changedAtMs < RELAPSE_MS;
  const calmNeededMs = isRelapse ? Math.min(2 * state.calmNeededMs, MAX_CALM_MS) : MIN_CALM_MS;
  return { ...next, isShedding: true, calmMs: 0, calmNeededMs, changedAtMs: nowMs };
}

/** Who made a row of late ticks so long that it counts. */
function rowOf(
  since: ShedState["lateSince"],
  late: ShedState["lateSince"],
): "own" | "others" | "short" {
  if (since === null || late === null) return "short";
  const lateMs = late.nowMs - since.nowMs;
  if (lateMs < LATE_FOR_MS) return "short";
  const ownShare = (late.cpuMs - since.cpuMs) / lateMs;
  return ownShare >= MIN_OWN_CPU_SHARE ? "own" : "others";
}

/**
 * The calm that a tick adds: none unless it is calm, and a late one takes back as much as it is late,
 * so that a stall now and then does not keep the shedding up.
 */
function calmIn({ sampledAtMs, maxLagMs }: ShedState, sample: LoopSample): number {
  if (sample.lagMs > maxLagMs) return -sample.lagMs;
  const isCalm = sample.lagMs < CALM_LAG_MS && sample.undecidedStreams < CALM_UNDECIDED_STREAMS;
  return isCalm ? sample.nowMs - sampledAtMs : 0;
}
