import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { admit } from "../../../../src/core/limit/gcra.js";
import {
  type Holder,
  type LeaseReport,
  type LeaseState,
  MAX_HOLD_MS,
  renewLease,
} from "../../../../src/core/limit/lease.js";

const QUOTA = { requests: 100, periodMs: 1000, burst: 100 };

const aReport = (changes: Partial<LeaseReport> = {}): LeaseReport => ({
  ...{ replica: "r", sequence: 1, spent: 0, acked: 0, held: 0, want: 0, need: 1, demand: 1 },
  ...{ known: 0, holdMs: 1000, ...changes },
});
const aHolder = (changes: Partial<Holder> = {}): Holder => ({
  ...{ replica: "o", sequence: 1, spent: 0, held: 0, demand: 1, untilMs: 10_000, ...changes },
});
const aState = (used: number, ...holders: readonly Holder[]): LeaseState => ({
  ...{ used, atMs: 0, burst: 100, unitsPerMs: 0.1, holders },
});
function renew(state: LeaseState | undefined, changes: Partial<LeaseReport>, nowMs = 0) {
  const renewed = renewLease(state, aReport(changes), QUOTA, nowMs);
  if (renewed === undefined) throw new Error("overtaken");
  return renewed;
}

test("law: alone, and asked for every request, it is the exact limit", () => {
  const quotas = fc.record({
    requests: fc.integer({ min: 1, max: 5000 }),
    periodMs: fc.integer({ min: 1, max: 100_000 }),
    burst: fc.integer({ min: 1, max: 500 }),
  });
  const arrivals = fc.array(fc.tuple(fc.nat(500), fc.integer({ min: 1, max: 20 })));
  fc.assert(
    fc.property(quotas, arrivals, (quota, requests) => {
      let [nowMs, tatMs, spent, sequence] = [0, 0, 0, 0];
      let state: LeaseState | undefined;
      for (const [pauseMs, cost] of requests) {
        nowMs += pauseMs;
        const exact = admit(tatMs, quota, cost, nowMs);
        if (exact.kind === "admitted") tatMs = exact.tatMs;
        sequence += 1;
        const report = aReport({ sequence, spent, acked: spent, want: cost, need: cost });
        const renewed = renewLease(state, report, quota, nowMs);
        expect(renewed?.answer.granted ?? NaN).toBe(exact.kind === "admitted" ? cost : 0);
        if (exact.kind === "limited" && cost <= quota.burst) {
          const wait = renewed?.answer.retryAfterMs ?? NaN;
          expect(wait / exact.retryAfterMs).toBeCloseTo(1, 3);
        }
        // Spent at once, and so reported at once.
        spent += renewed?.answer.granted ?? 0;
        sequence += 1;
        const settled = aReport({ sequence, spent, acked: spent - cost, demand: 0 });
        state = renewLease(renewed?.state, settled, quota, nowMs)?.state;
      }
    }),
  );
});

describe("grants", () => {
  test("what is wanted, while there is room", () => {
    expect(renew(aState(20), { want: 30 }).answer).toMatchObject({ granted: 30, used: 20 });
  });

  test("a share by demand, when there is not", () => {
    const others = [aHolder({ demand: 2 }), aHolder({ replica: "p", demand: 1 })];
    expect(renew(aState(60, ...others), { want: 30 }).answer.granted).toBe(10);
  });

  test("never less than a request needs, and nothing that is of no use", () => {
    const other = aHolder({ demand: 99 });
    expect(renew(aState(95, other), { want: 5, need: 3 }).answer.granted).toBe(3);
    expect(renew(aState(98, other), { want: 5, need: 3 }).answer).toMatchObject({
      ...{ granted: 0, retryAfterMs: 10 },
    });
  });

  test("what others hold is not free, and does not leak", () => {
    const other = aHolder({ held: 90, demand: 0 });
    const { answer } = renew(aState(10, other), { want: 50 }, 5000);
    expect(answer).toMatchObject({ granted: 10, used: 0, heldByOthers: 90 });
  });
});

describe("charges", () => {
  test("what was spent since it was last recorded, whatever the replica has heard", () => {
    const mine = aHolder({ replica: "r", spent: 7, held: 5 });
    const { state, answer } = renew(aState(10, mine), { sequence: 2, spent: 12, acked: 3 });
    expect([answer.used, answer.recorded, state.holders[0]?.held]).toEqual([15, 12, 0]);
  });

  test("debt beyond the burst, which delays what comes after", () => {
    const { answer } = renew(aState(100), { spent: 8, want: 1 });
    expect(answer).toMatchObject({ granted: 0, used: 108, retryAfterMs: 90 });
  });

  test("what the dead held, in full, when their time is over", () => {
    const dead = aHolder({ held: 40, untilMs: 1000 });
    expect(renew(aState(0, dead), { want: 100 }, 999).answer.granted).toBe(60 * 0.5);
    const late = renew(aState(0, dead), { want: 100 }, 1000);
    expect(late.answer).toMatchObject({ used: 40, heldByOthers: 0, granted: 60 });
  });

  test("nothing for a report that was overtaken", () => {
    const mine = aHolder({ replica: "r", sequence: 5 });
    expect(renewLease(aState(0, mine), aReport({ sequence: 5 }), QUOTA, 0)).toBeUndefined();
  });
});

describe("survives", () => {
  test("the loss of its state, by what the replica knew", () => {
    expect(renew(undefined, { known: 70, spent: 5, acked: 3 }).answer.used).toBe(72);
  });

  test("a reload that makes the quota smaller", () => {
    const state = { ...aState(1000), burst: 1000 };
    expect(renew(state, { want: 1 }).answer).toMatchObject({ used: 100, retryAfterMs: 10 });
  });

  test("a clock that is set back", () => {
    const state = { ...aState(50, aHolder({ untilMs: 3_600_000 + 500 })), atMs: 3_600_000 };
    const renewed = renew(state, { want: 10 }, 0);
    expect(renewed.answer).toMatchObject({ granted: 10, used: 50 });
    expect(renewed.state.holders[0]?.untilMs).toBe(MAX_HOLD_MS);
    expect(renew(renewed.state, { sequence: 2, held: 10 }, 500).answer.used).toBe(0);
  });
});
