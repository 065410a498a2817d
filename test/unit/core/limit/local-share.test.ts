import { describe, expect, test } from "vitest";
import { LocalShare } from "../../../../src/core/limit/local-share.js";

const QUOTA = { requests: 100, periodMs: 1000, burst: 100 };

function admittedAtOnce(share: LocalShare, nowMs: number): number {
  for (let count = 0; ; count++) {
    const admission = share.ask(QUOTA, 1, nowMs);
    if (admission.kind === "limited") return count;
    share.take(admission);
  }
}

describe("a replica's share while the store is away", () => {
  test("has its part of the burst and of the rate", () => {
    const share = new LocalShare(QUOTA, 4, 0, 0);
    expect(admittedAtOnce(share, 0)).toBe(25);
    expect(admittedAtOnce(share, 400)).toBe(10);
  });

  test("starts as full as the whole was: losing the store frees nothing", () => {
    expect(admittedAtOnce(new LocalShare(QUOTA, 4, 60, 0), 0)).toBe(10);
    expect(admittedAtOnce(new LocalShare(QUOTA, 4, 100, 0), 0)).toBe(0);
  });

  test("reports what it charged and has not leaked, and not what was known before", () => {
    const share = new LocalShare(QUOTA, 4, 60, 0);
    admittedAtOnce(share, 0);
    expect(share.unreported(QUOTA, 60, 0)).toBeCloseTo(10);
    // Both have leaked 20 of the whole by then, 5 of which are this share's.
    expect(share.unreported(QUOTA, 40, 200)).toBeCloseTo(10);
    expect(share.unreported(QUOTA, 0, 1000)).toBe(0);
  });

  test("lets one request through where a share is less than one", () => {
    const tiny = { requests: 1, periodMs: 1000, burst: 1 };
    const share = new LocalShare(tiny, 4, 0, 0);
    const first = share.ask(tiny, 1, 0);
    if (first.kind === "admitted") share.take(first);
    expect([first.kind, share.ask(tiny, 1, 3999).kind, share.ask(tiny, 1, 4000).kind]).toEqual([
      ...["admitted", "limited", "admitted"],
    ]);
  });
});
