import { describe, expect, test } from "vitest";
import { type LeaseState, renewLease } from "../../../../src/core/limit/lease.js";
import type { CompiledLimit } from "../../../../src/core/limit/limit.js";
import { SharedQuota, type Moment } from "../../../../src/core/limit/shared-quota.js";

const LIMIT: CompiledLimit = {
  ...{ name: "l", requests: 100, periodMs: 1000, burst: 100, enforce: true, overshoot: 0.1 },
  onStoreFailure: "local",
};
const at = (ms: number, isUp = true): Moment => ({
  ...{ nowMs: ms, monotonicMs: ms, isUp, replicas: 2, roundTripMs: 2 },
});
const aQuota = (changes: Partial<CompiledLimit> = {}) =>
  new SharedQuota("k", { ...LIMIT, ...changes }, 0, 0);

function admittedOf(quota: SharedQuota, count: number, now: Moment): number {
  let admitted = 0;
  for (let asked = 0; asked < count; asked++) {
    const standing = quota.ask(1, now);
    if (standing.kind === "admitted") {
      quota.take(standing, 1, now);
      admitted += 1;
    }
    quota.lease.noteDemand(1, now.monotonicMs);
  }
  return admitted;
}
let sequence = 0;
function renew(quota: SharedQuota, state: LeaseState | undefined, now: Moment): LeaseState {
  sequence += 1;
  const report = quota.report(now, { replica: "r", sequence });
  const renewed = renewLease(state, report, LIMIT, now.monotonicMs);
  if (renewed === undefined) throw new Error("a new report is not overtaken");
  quota.answered(renewed.answer, now);
  return renewed.state;
}

describe("while the store is away", () => {
  test.each([
    ["local", 50],
    ["admit", 200],
    ["reject", 0],
  ] as const)("onStoreFailure: %s admits %i of 200 at once", (onStoreFailure, admitted) => {
    expect(admittedOf(aQuota({ onStoreFailure }), 200, at(0, false))).toBe(admitted);
  });

  test("what is leased is spent first", () => {
    const quota = aQuota({ onStoreFailure: "reject" });
    admittedOf(quota, 5, at(0));
    renew(quota, undefined, at(1));
    // A lease for 1 s of the 5 requests in half a second, which were a millisecond ago.
    expect(admittedOf(quota, 100, at(2, false))).toBe(9);
  });

  test("a report that is late makes its key fail, and no other", () => {
    const quota = aQuota();
    admittedOf(quota, 5, at(0));
    quota.report(at(0), { replica: "r", sequence: 1 });
    expect(admittedOf(quota, 1, at(100))).toBe(0);
    // Half of 95 that are left, and what half the rate fills in 101 ms.
    expect(admittedOf(quota, 100, at(101))).toBe(50);
    expect(aQuota().isFailing(at(101))).toBe(false);
  });
});

describe("when the store is back", () => {
  test("what the share charged and has not leaked is charged to the whole, once", () => {
    const quota = aQuota();
    expect(admittedOf(quota, 200, at(0, false))).toBe(50);
    expect(quota.isDue(at(400, false))).toBe(false);
    expect(quota.isDue(at(400))).toBe(true);
    // Half the rate of 100/s for 0.4 s leaked out of the share.
    const state = renew(quota, undefined, at(400));
    expect(state.used).toBeCloseTo(30);
    expect(quota.isFailing(at(400))).toBe(false);
    expect(renew(quota, state, at(500)).used).toBeCloseTo(20);
  });

  test("what the share charged while the report was on its way is reported next", () => {
    const quota = aQuota();
    admittedOf(quota, 10, at(0, false));
    const report = quota.report(at(0), { replica: "r", sequence: 100 });
    expect(report.spent).toBeCloseTo(10);
    admittedOf(quota, 5, at(0));
    const renewed = renewLease(undefined, report, LIMIT, 0);
    if (renewed === undefined) throw new Error("a new report is not overtaken");
    quota.answered(renewed.answer, at(0));
    sequence = 100;
    expect(renew(quota, renewed.state, at(2)).used).toBeCloseTo(15 - 0.2);
  });

  test("a key that nobody asks for again is still reported", () => {
    const quota = aQuota();
    admittedOf(quota, 1, at(0, false));
    expect([quota.isActive(5000), quota.isDue(at(5000))]).toEqual([true, true]);
    renew(quota, undefined, at(5000));
    expect([quota.isActive(5001), quota.isDue(at(5001))]).toEqual([false, false]);
  });
});

test("a reload changes the quota of keys that are known", () => {
  const quota = aQuota({ onStoreFailure: "reject" });
  quota.adopt({ ...LIMIT, onStoreFailure: "admit" });
  expect(quota.ask(1, at(0, false)).kind).toBe("admitted");
});
