import { describe, expect, test } from "vitest";
import {
  initialShedState,
  nextShedState,
  type LoopSample,
  type ShedState,
} from "../../../../src/core/overload/shed.js";

const START = initialShedState(0, 25);
type Ticks = Partial<Omit<LoopSample, "nowMs" | "cpuMs">> & {
  readonly forMs: number;
  /** Share of the time that was ours; default: all. */
  readonly own?: number;
};

/** Ticks as a loop makes them: each 10 ms after the one before, and later by its lag. */
function after(state: ShedState, ...rows: readonly Ticks[]): ShedState {
  let now = state;
  let usedMs = 0;
  const cpuMs = () => usedMs;
  for (const { forMs, lagMs = 0, undecidedStreams = 0, own = 1 } of rows) {
    const endMs = now.sampledAtMs + forMs;
    while (now.sampledAtMs < endMs) {
      const nowMs = now.sampledAtMs + 10 + lagMs;
      usedMs += own * (10 + lagMs);
      now = nextShedState(now, { lagMs, undecidedStreams, cpuMs, nowMs });
    }
  }
  return now;
}

const overloaded = (state = START) => after(state, { forMs: 300, lagMs: 30 });

describe("shedding begins", () => {
  test("when every tick of 200 ms was late", () => {
    expect(after(START, { forMs: 200, lagMs: 30 }).isShedding).toBe(false);
    expect(after(START, { forMs: 240, lagMs: 30 }).isShedding).toBe(true);
  });

  test.each([
    { name: "ticks that are a little late, however long", rows: [{ forMs: 60_000, lagMs: 25 }] },
    { name: "one stall, however long", rows: [{ forMs: 10, lagMs: 5000 }, { forMs: 100 }] },
    {
      name: "stalls with a tick in time between them",
      rows: Array.from({ length: 100 }, () => [{ forMs: 150, lagMs: 100 }, { forMs: 10 }]).flat(),
    },
    {
      name: "ticks that are late because others use the CPU",
      rows: [{ forMs: 60_000, lagMs: 60, own: 0.2 }],
    },
    { name: "5,000 streams that wait", rows: [{ forMs: 60_000, undecidedStreams: 5000 }] },
    { name: "10,000 streams that wait", rows: [{ forMs: 60_000, undecidedStreams: 10_000 }] },
  ])("not for $name", ({ rows }) => {
    expect(after(START, ...rows).isShedding).toBe(false);
  });

  test("when our own work follows on a time when others had the CPU", () => {
    const others = { forMs: 10_000, lagMs: 60, own: 0.1 };
    expect(after(START, others, { forMs: 500, lagMs: 60, own: 0.9 }).isShedding).toBe(true);
  });

  test("at the first tick with more than 10,000 streams that wait", () => {
    expect(after(START, { forMs: 10, undecidedStreams: 10_001 }).isShedding).toBe(true);
  });
});

describe("shedding ends", () => {
  test("after 500 ms of calm", () => {
    expect(after(overloaded(), { forMs: 490 }).isShedding).toBe(true);
    expect(after(overloaded(), { forMs: 500 }).isShedding).toBe(false);
  });

  test("though ticks of the calm were a little late: they add nothing", () => {
    const restless = Array.from({ length: 50 }, () => [
      { forMs: 10 },
      { forMs: 10, lagMs: 20 },
    ]).flat();
    expect(after(overloaded(), ...restless.slice(0, -2)).isShedding).toBe(true);
    expect(after(overloaded(), ...restless).isShedding).toBe(false);
  });

  test("later by what a late tick was late", () => {
    const broken = [{ forMs: 490 }, { forMs: 10, lagMs: 100 }];
    expect(after(overloaded(), ...broken, { forMs: 100 }).isShedding).toBe(true);
    expect(after(overloaded(), ...broken, { forMs: 110 }).isShedding).toBe(false);
  });

  test.each([
    { name: "ticks are 5 ms late", row: { lagMs: 5 } },
    { name: "ticks are late", row: { lagMs: 30 } },
    { name: "5,000 streams wait", row: { undecidedStreams: 5000 } },
  ])("not while $name", ({ row }) => {
    expect(after(overloaded(), { forMs: 60_000, ...row }).isShedding).toBe(true);
  });
});

describe("a load that only shedding bears", () => {
  /** Calm while shedding, late as soon as it ends; how long each time of shedding took. */
  function spellsOf(count: number): readonly number[] {
    const spells: number[] = [];
    let state = START;
    while (spells.length < count) {
      state = overloaded(state);
      const beganMs = state.changedAtMs;
      while (state.isShedding) state = after(state, { forMs: 10 });
      spells.push(Math.round((state.changedAtMs - beganMs) / 500) * 500);
    }
    return spells;
  }

  test("is tried ever more rarely, and at least every 16 s", () => {
    expect(spellsOf(8)).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 16_000, 16_000]);
  });

  test("is forgotten when ten seconds went well", () => {
    const recovered = after(overloaded(after(overloaded(), { forMs: 500 })), { forMs: 1000 });
    expect(recovered.isShedding).toBe(false);
    const again = overloaded(after(recovered, { forMs: 10_000 }));
    expect(after(again, { forMs: 500 }).isShedding).toBe(false);
  });
});
