import { initialShedState, nextShedState } from "../core/overload/shed.js";
import type { Clock, Overload } from "./ports.js";

const TICK_MS = 10;

export type OverloadWatch = Overload & {
  /** A stream was opened (1), or was decided or closed without (-1). */
  readonly undecided: (change: 1 | -1) => void;
  close(): void;
};

export type OverloadChange = {
  readonly isShedding: boolean;
  /** What was seen at the tick that tipped it. */
  readonly lagMs: number;
  readonly undecidedStreams: number;
};

/**
 * Watches how late a timer of this event loop is: what waits for the loop waits as long. Timers run
 * before sockets are read, so after a long turn the next requests already know; and a request that
 * asks in a long turn counts as a tick, so that the rest of that turn is shed.
 */
export function watchOverload(options: {
  readonly clock: Clock;
  /** CPU time that this process has used so far, milliseconds. */
  readonly cpuMs: () => number;
  /** How late the loop may be. */
  readonly maxLagMs: number;
  readonly onChange: (change: OverloadChange) => void;
}): OverloadWatch {
  const { clock, cpuMs, maxLagMs, onChange } = options;
  let state = initialShedState(clock.monotonicMs(), maxLagMs);
  let undecidedStreams = 0;
  let dueMs = state.sampledAtMs + TICK_MS;
  const sample = (nowMs: number) => {
    const lagMs = Math.max(0, nowMs - dueMs);
    const { isShedding } = state;
    state = nextShedState(state, { lagMs, undecidedStreams, cpuMs, nowMs });
    if (state.isShedding !== isShedding) {
      onChange({ isShedding: !isShedding, lagMs: Math.round(lagMs), undecidedStreams });
    }
  };
  const timer = setInterval(() => {
    const nowMs = clock.monotonicMs();
    sample(nowMs);
    dueMs = nowMs + TICK_MS;
  }, TICK_MS);
  timer.unref();
  return {
    isShedding: () => {
      if (state.isShedding) return true;
      const nowMs = clock.monotonicMs();
      if (nowMs - dueMs > maxLagMs) sample(nowMs);
      return state.isShedding;
    },
    undecided: (change) => {
      undecidedStreams += change;
    },
    close: () => {
      clearInterval(timer);
    },
  };
}
