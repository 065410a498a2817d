import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { admit } from "../../../../src/core/limit/gcra.js";
import type { Quota } from "../../../../src/core/limit/gcra.js";

const QUOTA: Quota = { requests: 10, periodMs: 1000, burst: 20 };

const quotas = fc.record({
  requests: fc.integer({ min: 1, max: 5000 }),
  periodMs: fc.integer({ min: 1, max: 3_600_000 }),
  burst: fc.integer({ min: 1, max: 5000 }),
});
/** Pauses between requests, and what each costs. */
const arrivals = fc.array(
  fc.record({ pauseMs: fc.integer({ min: 0, max: 5000 }), cost: fc.integer({ min: 0, max: 50 }) }),
  { maxLength: 200 },
);

/** Admitted costs with their times, for one key. */
function run(quota: Quota, requests: readonly { pauseMs: number; cost: number }[]) {
  let nowMs = 0;
  let tatMs = 0;
  const passed: { atMs: number; cost: number }[] = [];
  for (const { pauseMs, cost } of requests) {
    nowMs += pauseMs;
    const admission = admit(tatMs, quota, cost, nowMs);
    expect(admission.remaining).toBeGreaterThanOrEqual(0);
    expect(admission.remaining).toBeLessThanOrEqual(quota.burst);
    expect(admission.resetAfterMs).toBeGreaterThanOrEqual(0);
    if (admission.kind === "limited") {
      expect(admission.retryAfterMs).toBeGreaterThan(0);
      continue;
    }
    tatMs = admission.tatMs;
    passed.push({ atMs: nowMs, cost });
  }
  return passed;
}

describe("laws", () => {
  test("never admits more than burst + requests * t / period in any span", () => {
    fc.assert(
      fc.property(quotas, arrivals, (quota, requests) => {
        const passed = run(quota, requests);
        passed.forEach((first, from) => {
          let sum = 0;
          for (const { atMs, cost } of passed.slice(from)) {
            sum += cost;
            const bound = quota.burst + (quota.requests * (atMs - first.atMs)) / quota.periodMs;
            expect(sum).toBeLessThanOrEqual(bound + 1e-3);
          }
        });
      }),
    );
  });

  test("admits a cost within the burst when the time it named has come, and not before", () => {
    fc.assert(
      fc.property(quotas, fc.nat(100_000), fc.nat(5000), (quota, tatMs, wanted) => {
        const cost = Math.min(wanted, quota.burst);
        const first = admit(tatMs, quota, cost, 0);
        if (first.kind === "admitted") return;
        const emissionMs = quota.periodMs / quota.requests;
        const early = Math.max(0, first.retryAfterMs - emissionMs * 0.01);
        // A time that is clamped moves with the clock, so the start is the clamped one.
        const clampedMs = Math.min(tatMs, quota.burst * emissionMs);
        expect(admit(clampedMs, quota, cost, first.retryAfterMs).kind).toBe("admitted");
        expect(admit(clampedMs, quota, cost, early).kind).toBe("limited");
      }),
    );
  });

  test("what remains can come at once, and one unit more cannot", () => {
    fc.assert(
      fc.property(quotas, arrivals, (quota, requests) => {
        const now = requests.reduce((sum, { pauseMs }) => sum + pauseMs, 0);
        let tatMs = 0;
        for (const { cost } of requests) {
          const admission = admit(tatMs, quota, cost, now);
          if (admission.kind === "admitted") tatMs = admission.tatMs;
        }
        const { remaining } = admit(tatMs, quota, 0, now);
        expect(admit(tatMs, quota, remaining, now).kind).toBe("admitted");
        expect(admit(tatMs, quota, remaining + 1, now).kind).toBe("limited");
      }),
    );
  });
});

describe("by example", () => {
  test("a fresh key has its whole burst, then one unit per period / requests", () => {
    let tatMs = 0;
    const remaining: number[] = [];
    for (let at = 0; at < 20; at++) {
      const admission = admit(tatMs, QUOTA, 1, 0);
      if (admission.kind === "admitted") tatMs = admission.tatMs;
      remaining.push(admission.remaining);
    }
    expect(remaining).toEqual(Array.from({ length: 20 }, (_, at) => 19 - at));
    expect(admit(tatMs, QUOTA, 1, 0)).toEqual({
      kind: "limited",
      retryAfterMs: 100,
      remaining: 0,
      resetAfterMs: 2000,
    });
    expect(admit(tatMs, QUOTA, 1, 100).kind).toBe("admitted");
    expect(admit(tatMs, QUOTA, 20, 2000)).toMatchObject({ kind: "admitted", remaining: 0 });
  });

  test("ten tenths fit in a burst of one", () => {
    const quota = { requests: 1, periodMs: 1000, burst: 1 };
    let tatMs = 0;
    for (let at = 0; at < 10; at++) {
      const admission = admit(tatMs, quota, 0.1, 0);
      expect(admission.kind).toBe("admitted");
      if (admission.kind === "admitted") tatMs = admission.tatMs;
    }
    expect(admit(tatMs, quota, 0.1, 0).kind).toBe("limited");
  });

  test("what costs nothing always passes", () => {
    expect(admit(1e9, QUOTA, 0, 0).kind).toBe("admitted");
  });

  test("a clock that is set back an hour spends the quota at most, and does not lock the key out", () => {
    const used = admit(0, QUOTA, 1, 3_600_000);
    const tatMs = used.kind === "admitted" ? used.tatMs : 0;
    expect(admit(tatMs, QUOTA, 1, 0)).toEqual({
      kind: "limited",
      retryAfterMs: 100,
      remaining: 0,
      resetAfterMs: 2000,
    });
  });

  test("a reload that makes the quota smaller does not lock the key out", () => {
    const hourly = { requests: 10, periodMs: 3_600_000, burst: 10 };
    const used = admit(0, hourly, 10, 0);
    const tatMs = used.kind === "admitted" ? used.tatMs : 0;
    expect(admit(tatMs, QUOTA, 1, 0)).toMatchObject({ kind: "limited", retryAfterMs: 100 });
  });
});
