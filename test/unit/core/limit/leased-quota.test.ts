import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { renewLease, type LeaseState } from "../../../../src/core/limit/lease.js";
import { LeasedQuota } from "../../../../src/core/limit/leased-quota.js";
import { oracle, simulateLeases, worstExcess, type Arrival } from "./simulate-leases.js";

const QUOTA = { requests: 100, periodMs: 1000, burst: 100, overshoot: 0.1 };
const MEANS = { replicas: 2, roundTripMs: 2 };

/** What replicas may have borrowed at one time, all together. */
const boundOf = (quota: typeof QUOTA, replicas: number, maxCost: number) =>
  replicas * Math.max((quota.overshoot * quota.burst) / replicas, maxCost);

describe("law", () => {
  const worlds = fc.record({
    replicas: fc.integer({ min: 1, max: 5 }),
    quota: fc.record({
      requests: fc.integer({ min: 1, max: 2000 }),
      periodMs: fc.constantFrom(1000, 10_000),
      burst: fc.integer({ min: 4, max: 300 }),
      overshoot: fc.constantFrom(0, 0.05, 0.2, 1),
    }),
    // Calm stretches and crowds, on replicas that take turns.
    stretches: fc.array(
      fc.record({
        forMs: fc.integer({ min: 1, max: 800 }),
        pauseMs: fc.constantFrom(0.05, 0.5, 3, 40, 400),
        costs: fc.constantFrom([1], [1, 2, 4], [0.25]),
        favours: fc.nat(4),
      }),
      { minLength: 1, maxLength: 8 },
    ),
    latencies: fc.array(fc.constantFrom(0.1, 0.5, 2, 20, 90), { minLength: 1, maxLength: 9 }),
  });
  type Drawn = typeof worlds extends fc.Arbitrary<infer T> ? T : never;

  function arrivalsOf({ stretches, replicas }: Drawn): readonly Arrival[] {
    let nowMs = 0;
    let count = 0;
    return stretches.flatMap(({ forMs, pauseMs, costs, favours }) => {
      const arrivals = Array.from({ length: Math.min(2000, Math.ceil(forMs / pauseMs)) }, () => {
        nowMs += pauseMs;
        count += 1;
        const replica = (count % 3 === 0 ? count : favours) % replicas;
        return { atMs: nowMs, replica, cost: costs[count % costs.length] ?? 1 };
      });
      return arrivals;
    });
  }
  const run = (drawn: Drawn, deaths = new Map<number, number>()) => {
    let at = 0;
    const { latencies, quota, replicas } = drawn;
    const latencyMs = () => latencies[at++ % latencies.length] ?? 1;
    return simulateLeases({ quota, replicas, arrivals: arrivalsOf(drawn), latencyMs, deaths });
  };

  test("any span admits at most burst + rate * t and what may be borrowed, in any world", () => {
    fc.assert(
      fc.property(worlds, (drawn) => {
        const { admitted } = run(drawn);
        const bound = boundOf(drawn.quota, drawn.replicas, 4);
        expect(worstExcess(drawn.quota, admitted)).toBeLessThanOrEqual(bound + 1e-3);
      }),
      { numRuns: 200 },
    );
  });

  test("the bound holds when replicas die with what they hold: it counts as spent", () => {
    fc.assert(
      fc.property(worlds, fc.nat(2000), (drawn, diesAtMs) => {
        // What the dead borrowed and had not told anybody is within the bound as well.
        const { admitted } = run(drawn, new Map([[0, diesAtMs]]));
        const bound = boundOf(drawn.quota, drawn.replicas, 4);
        expect(worstExcess(drawn.quota, admitted)).toBeLessThanOrEqual(bound + 1e-3);
      }),
      { numRuns: 100 },
    );
  });

  test("when all is quiet, nothing is held", () => {
    fc.assert(
      fc.property(worlds, (drawn) => {
        const { state } = run(drawn);
        expect(state?.holders.reduce((sum, { held }) => sum + held, 0)).toBeCloseTo(0, 6);
      }),
      { numRuns: 50 },
    );
  });
});

describe("against one GCRA that sees everything at once", () => {
  const shapes = {
    even: (replicas: number, at: number) => at % replicas,
    skewed: (replicas: number, at: number) => (at % 10 === 0 ? at % replicas : 0),
    shifting: (replicas: number, at: number, atMs: number) =>
      at % 10 === 0 ? at % replicas : Math.floor(atMs / 500) % replicas,
  };
  const loads = [0.5, 0.9, 2];
  const rows = [1, 2, 4].flatMap((replicas) =>
    (["even", "skewed", "shifting"] as const).flatMap((shape) =>
      loads.map((load) => ({ replicas, shape, load })),
    ),
  );

  test.each(rows)("$replicas replicas, $shape load of $load of the quota: within 2 %", (row) => {
    const quota = { requests: 1000, periodMs: 1000, burst: 1000, overshoot: 0.1 };
    const random = seeded(7);
    const arrivals: Arrival[] = [];
    for (let atMs = 0; atMs < 8000; atMs += -Math.log(1 - random()) / row.load) {
      const replica = shapes[row.shape](row.replicas, Math.floor(random() * 1e6), atMs);
      arrivals.push({ atMs, replica, cost: 1 });
    }
    const latencyMs = () => 0.2 + 1.5 * random();
    const { admitted } = simulateLeases({ quota, replicas: row.replicas, arrivals, latencyMs });
    const exact = oracle(quota, arrivals).length;
    expect(Math.abs(admitted.length - exact) / exact).toBeLessThan(0.02);
    expect(worstExcess(quota, admitted)).toBeLessThanOrEqual(100);
  });
});

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("by example", () => {
  const aQuota = (changes: Partial<typeof QUOTA> = {}) =>
    new LeasedQuota("k", { ...QUOTA, ...changes }, 0, 0);

  function charge(quota: LeasedQuota, cost: number, nowMs: number) {
    const standing = quota.ask(cost, nowMs, MEANS);
    quota.noteDemand(cost, nowMs);
    if (standing.kind === "admitted") quota.take(cost, nowMs);
    return standing;
  }
  /** One report, and the store's answer. */
  function renew(quota: LeasedQuota, state: LeaseState | undefined, nowMs: number, sequence = 1) {
    const report = quota.report(nowMs, MEANS, { replica: "r", sequence });
    const renewed = renewLease(state, report, QUOTA, nowMs);
    if (renewed === undefined) throw new Error("a new report is not overtaken");
    quota.answered(renewed.answer, nowMs);
    return { ...renewed, report };
  }

  test("a key that nobody knows has its share of the overshoot, and is limited for a round trip", () => {
    const quota = aQuota();
    const kinds = Array.from({ length: 7 }, () => charge(quota, 1, 0).kind);
    expect(kinds).toEqual([...Array<string>(5).fill("admitted"), "limited", "limited"]);
    expect(quota.ask(1, 0, MEANS)).toMatchObject({ kind: "limited", retryAfterMs: 2 });
  });

  test("without overshoot one request passes, whatever it costs", () => {
    const quota = aQuota({ overshoot: 0 });
    expect([40, 1].map((cost) => charge(quota, cost, 0).kind)).toEqual(["admitted", "limited"]);
  });

  test("a cost over the burst never passes", () => {
    expect(aQuota().ask(101, 0, MEANS)).toMatchObject({ kind: "limited", retryAfterMs: 10 });
  });

  test("what was borrowed is settled by the answer, and a lease follows demand", () => {
    const quota = aQuota();
    for (let at = 0; at < 5; at++) charge(quota, 1, 0);
    expect(quota.isDue(0, MEANS)).toBe(true);
    const { report, answer } = renew(quota, undefined, 0);
    expect(report).toMatchObject({ spent: 5, acked: 0, held: 0, demand: 0.01 });
    expect(answer.granted).toBeCloseTo(report.want);
    expect(report.want).toBeCloseTo(0.01 * 1002);
    expect(charge(quota, 1, 1)).toMatchObject({ kind: "admitted", remaining: 94 });
  });

  test("a single request leases nothing: most keys are rare", () => {
    const quota = aQuota();
    charge(quota, 1, 0);
    const { report } = renew(quota, undefined, 0);
    expect(report).toMatchObject({ want: 0, held: 0, spent: 1 });
    expect([quota.isSettled(), quota.isActive(400)]).toEqual([true, false]);
  });

  test("a used-up quota says when to come back, as the store sees it", () => {
    const quota = aQuota();
    charge(quota, 1, 0);
    const others = { replica: "o", sequence: 1, spent: 0, held: 0, demand: 0, untilMs: 1e6 };
    const full = { used: 120, atMs: 0, burst: 100, unitsPerMs: 0.1, holders: [others] };
    renew(quota, full, 0);
    expect(charge(quota, 1, 0)).toEqual({
      ...{ kind: "limited", remaining: 0 },
      retryAfterMs: expect.closeTo(220, 6) as number,
      resetAfterMs: expect.closeTo(1210, 6) as number,
    });
    expect(charge(quota, 1, 221).kind).toBe("admitted");
  });

  test("demand that is gone gives its lease back at once", () => {
    const quota = aQuota();
    for (let at = 0; at < 40; at++) charge(quota, 1, at);
    const leased = renew(quota, undefined, 40);
    expect(leased.answer.granted).toBeGreaterThan(0);
    expect(quota.isDue(60, MEANS)).toBe(false);
    expect(quota.isDue(40 + 6 * 15, MEANS)).toBe(true);
    const { report } = renew(quota, leased.state, 150, 2);
    expect(report).toMatchObject({ held: 0, want: 0 });
  });

  test("a lease whose time is over is no longer spent", () => {
    const quota = aQuota();
    for (let at = 0; at < 5; at++) charge(quota, 1, 0);
    renew(quota, undefined, 0);
    expect(quota.covers(1, 900)).toBe(true);
    expect(quota.covers(1, 1001)).toBe(false);
  });

  test("a report that failed is sent again after a pause, and charges once", () => {
    const quota = aQuota();
    for (let at = 0; at < 3; at++) charge(quota, 1, 0);
    const lost = quota.report(0, MEANS, { replica: "r", sequence: 1 });
    const recorded = renewLease(undefined, lost, QUOTA, 1);
    quota.failed(2);
    expect([quota.isFailing(2), quota.isDue(3, MEANS), quota.isDue(260, MEANS)]).toEqual([
      ...[true, false, true],
    ]);
    const again = renew(quota, recorded?.state, 260, 2);
    expect(again.state.used).toBe(0);
    expect(again.answer.recorded).toBe(3);
    expect(quota.isFailing(261)).toBe(false);
  });

  test("a store that is wiped hears from a replica how full the quota was", () => {
    const quota = aQuota();
    charge(quota, 1, 0);
    const state = { used: 80, atMs: 0, burst: 100, unitsPerMs: 0.1, holders: [] };
    renew(quota, state, 0);
    charge(quota, 1, 10);
    expect(renew(quota, undefined, 10, 2).state.used).toBeCloseTo(81);
  });

  test("no answer for a tenth of a second counts as failing", () => {
    const quota = aQuota();
    charge(quota, 1, 0);
    quota.report(0, MEANS, { replica: "r", sequence: 1 });
    expect([quota.isFailing(100), quota.isFailing(101)]).toEqual([false, true]);
  });
});
