import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DeadlineBatcher } from "../../../../src/core/batching/deadline-batcher.js";
import type { BatcherSettings } from "../../../../src/core/batching/deadline-batcher.js";
import type { Run } from "../../../../src/core/batching/request.js";
import { aRequest } from "./a-request.js";
import type { TestRequest } from "./a-request.js";

/** 8 ms a run and 1 ms an item: full batches of 8 take 16 ms. */
const profileOf = (length: number, scale = 1) =>
  [1, 2, 4, 8].map((items) => ({ items, length, ms: scale * (8 + items) }));

function batcherWith(over: Partial<BatcherSettings> = {}) {
  return new DeadlineBatcher<TestRequest>({
    ...{ maxBatchSize: 8, maxQueued: 100, maxQueueDelayMs: 5, maxPaddingShare: 0.25 },
    profile: profileOf(1),
    ...over,
  });
}

/** Enters all of them at 0 while the instance is busy; answers the names of the next batch. */
function batchOf(requests: readonly Partial<TestRequest>[], over: Partial<BatcherSettings> = {}) {
  const batcher = batcherWith(over);
  for (const request of requests) batcher.enter(aRequest(request), 0, 0);
  return namesOf(batcher);
}

function namesOf(batcher: DeadlineBatcher<TestRequest>, nowMs = 0): readonly string[] {
  const { next } = batcher.next(1, nowMs);
  return next.kind === "run" ? next.run.requests.map(({ name }) => name) : [];
}

const times = (count: number, over: Partial<TestRequest>) =>
  Array.from({ length: count }, () => ({ ...over }));

describe("a batch", () => {
  test.each<{
    readonly name: string;
    readonly queue: readonly Partial<TestRequest>[];
    readonly batch: readonly string[];
  }>([
    { name: "nothing waits: none", queue: [], batch: [] },
    { name: "one waits: it goes at once", queue: [{ name: "a" }], batch: ["a"] },
    {
      name: "the earliest deadline leads",
      queue: [
        { name: "late", deadlineAtMs: 900 },
        { name: "soon", deadlineAtMs: 400 },
      ],
      batch: ["soon", "late"],
    },
    {
      name: "items are counted, not requests, and what does not fit is passed over",
      queue: [
        { name: "a", items: 5 },
        { name: "b", items: 4 },
        { name: "c", items: 3 },
      ],
      batch: ["a", "c"],
    },
    {
      name: "other shapes neither join nor block",
      queue: [
        { name: "a" },
        { name: "x", shapeKey: "b" },
        { name: "b" },
        { name: "y", shapeKey: "b" },
      ],
      batch: ["a", "b"],
    },
    {
      name: "nobody joins who would make the first late",
      queue: [{ name: "tight", deadlineAtMs: 12 }, ...times(7, { name: "other" })],
      batch: ["tight"],
    },
    {
      name: "a higher priority goes before, a lower one after",
      queue: [
        { name: "low", priority: 3 },
        { name: "unset", priority: 0 },
        { name: "high", priority: 1 },
        { name: "usual", priority: 2 },
      ],
      batch: ["high", "unset", "usual", "low"],
    },
  ])("$name", ({ queue, batch }) => {
    expect(batchOf(queue)).toEqual(batch);
  });

  test("those in a hurry do not make the batches of all the others small", () => {
    const batcher = batcherWith();
    for (let at = 0; at < 200; at += 1) {
      const isHurried = at % 50 === 0;
      batcher.enter(aRequest({ deadlineAtMs: isHurried ? 20 : Infinity }), 0, 0);
      batcher.clear();
    }
    for (const name of "12345678") batcher.enter(aRequest({ name }), 0, 0);
    expect(namesOf(batcher)).toHaveLength(8);
  });

  test("a lower priority ages: after two seconds it goes before what has just come", () => {
    const batcher = batcherWith({ maxBatchSize: 1, profile: [{ items: 1, length: 1, ms: 9 }] });
    batcher.enter(aRequest({ name: "low", priority: 4 }), 0, 0);
    batcher.enter(aRequest({ name: "usual", enqueuedAtMs: 2001 }), 0, 2001);
    expect(namesOf(batcher, 2001)).toEqual(["low"]);
  });

  test("tenants fill it in equal parts, however much each has waiting", () => {
    const queue = [
      ...times(40, { name: "hog", tenant: "a" }),
      ...times(4, { name: "b", tenant: "b" }),
    ];
    expect(batchOf(queue).filter((name) => name === "b")).toHaveLength(4);
  });

  test.each([
    { maxPaddingShare: 0.25, batch: ["long", "near"] },
    { maxPaddingShare: 0, batch: ["long"] },
  ])(
    "lengths are mixed while padding is at most $maxPaddingShare",
    ({ maxPaddingShare, batch }) => {
      const queue = [
        { name: "long", length: 100 },
        { name: "short", length: 10 },
        { name: "near", length: 90 },
      ];
      expect(batchOf(queue, { maxPaddingShare, profile: profileOf(100) })).toEqual(batch);
    },
  );
});

describe("waiting for company", () => {
  /** One request each `gapMs`, up to now; the last is alone in the queue. */
  function arrivingEvery(gapMs: number) {
    const batcher = batcherWith();
    for (let at = 0; at < 20; at += 1) {
      batcher.enter(aRequest({ enqueuedAtMs: at * gapMs }), 1, at * gapMs);
      if (at < 19) batcher.clear();
    }
    return batcher.next(1, 19 * gapMs).next;
  }

  test("an idle instance waits when the next one is near, but no longer than allowed", () => {
    expect(arrivingEvery(1)).toEqual({ kind: "wait", untilMs: 19 + 2 });
    expect(arrivingEvery(2.9)).toEqual({ kind: "wait", untilMs: 19 * 2.9 + 5 });
  });

  test("it does not when the next one is far", () => {
    expect(arrivingEvery(20).kind).toBe("run");
  });
});

describe("refusals", () => {
  const reasonsOf = (batcher: DeadlineBatcher<TestRequest>, over: Partial<TestRequest>, idle = 0) =>
    batcher.enter(aRequest(over), idle, 0).map(({ reason }) => reason);

  /** One batch runs, and so many wait. */
  function busyBatcher(waiting: number) {
    const batcher = batcherWith();
    batcher.enter(aRequest(), 1, 0);
    batcher.next(1, 0);
    for (let at = 0; at < waiting; at += 1) batcher.enter(aRequest(), 0, 0);
    return batcher;
  }

  test.each([
    { name: "less time than any run takes", waiting: 0, leftMs: 7, reasons: ["hopeless"] },
    {
      name: "time for a run, not for what is before it",
      waiting: 32,
      leftMs: 60,
      reasons: ["busy"],
    },
    { name: "time for both", waiting: 32, leftMs: 200, reasons: [] },
    { name: "seconds left, and milliseconds predicted", waiting: 2, leftMs: 4935, reasons: [] },
  ])("$name: $reasons", ({ waiting, leftMs, reasons }) => {
    const newcomer = { deadlineAtMs: leftMs, priority: 3 };
    expect(reasonsOf(busyBatcher(waiting), newcomer)).toEqual(reasons);
  });

  test("one that waits is refused when no run could still make it, and not before", () => {
    const batcher = busyBatcher(0);
    batcher.enter(aRequest({ name: "a", deadlineAtMs: 100 }), 0, 0);
    const { next } = batcher.next(0, 0);
    const untilMs = next.kind === "wait" ? next.untilMs : NaN;
    expect(untilMs).toBeGreaterThan(90);
    expect(untilMs).toBeLessThan(100);
    expect(batcher.next(0, untilMs - 0.01).refuse).toEqual([]);
    const late = batcher
      .next(0, untilMs)
      .refuse.map(({ request, reason }) => [request.name, reason]);
    expect(late).toEqual([["a", "expired"]]);
  });

  test("a full queue: the tenant with most of it makes room, else the newcomer is refused", () => {
    const batcher = batcherWith({ maxQueued: 3 });
    for (const name of ["1", "2", "3"]) batcher.enter(aRequest({ name, tenant: "hog" }), 0, 0);
    const refused = batcher.enter(aRequest({ name: "4", tenant: "b" }), 0, 0);
    expect(refused.map(({ request, reason }) => [request.name, reason])).toEqual([
      ["3", "displaced"],
    ]);
    expect(reasonsOf(batcher, { tenant: "hog" })).toEqual(["full"]);
    expect(batcher.waitingItems).toBe(3);
  });

  test("nothing is refused by a model that knows nothing", () => {
    const batcher = batcherWith({ profile: [] });
    expect(reasonsOf(batcher, { deadlineAtMs: 0.5 }, 1)).toEqual([]);
  });

  test("a warm-up that was stalled does not refuse for ever: one request a second finds out", () => {
    const batcher = batcherWith({ profile: profileOf(1, 1000) });
    const enter = (nowMs: number) =>
      batcher.enter(aRequest({ enqueuedAtMs: nowMs, deadlineAtMs: nowMs + 50 }), 1, nowMs);
    expect(enter(10_000)).toEqual([]);
    const { next } = batcher.next(1, 10_000);
    if (next.kind === "run") batcher.ended(next.run, 10_009);
    expect(enter(10_010)).toEqual([]);
    expect(batcher.next(1, 10_010).next.kind).toBe("run");
  });

  test("one stalled run refuses nobody after it", () => {
    const batcher = busyBatcher(0);
    const run = batcher.rerun([aRequest()], 0);
    batcher.ended(run, 60_000);
    const at = { enqueuedAtMs: 60_000, deadlineAtMs: 60_020 };
    expect(batcher.enter(aRequest(at), 1, 60_000)).toEqual([]);
  });
});

test("explain tells figures and reasons, and nothing of tenants or inputs", () => {
  const batcher = batcherWith();
  batcher.enter(aRequest({ tenant: "secret", shapeKey: "secret" }), 0, 0);
  batcher.enter(aRequest({ tenant: "secret", deadlineAtMs: 1 }), 0, 0);
  const { next } = batcher.next(1, 0);
  if (next.kind === "run") batcher.ended(next.run, 11);
  const explained = batcher.explain(11);
  expect(JSON.stringify(explained)).not.toContain("secret");
  expect(explained.decisions).toMatchObject([
    { kind: "refuse", because: "hopeless", leftMs: 1 },
    { kind: "run", because: "no wait pays", items: 1, predictedMs: 9, tookMs: 11 },
  ]);
});

test("law: whatever comes, each request leaves once, in a batch that fits, in its own shape", () => {
  const arrival = fc.record({
    gapMs: fc.nat(6),
    items: fc.integer({ min: 1, max: 8 }),
    shapeKey: fc.constantFrom("a", "b"),
    length: fc.constantFrom(50, 64, 100),
    budgetMs: fc.option(fc.nat(120), { nil: Infinity }),
    tenant: fc.constantFrom("", "x", "y"),
    priority: fc.nat(4),
    leaves: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(arrival, { maxLength: 60 }), fc.nat(30), (arrivals, slowMs) => {
      const batcher = batcherWith({ profile: profileOf(64), maxQueued: 30 });
      const left: string[] = [];
      const running: { readonly run: Run<TestRequest>; readonly endsAtMs: number }[] = [];
      const decide = (nowMs: number) => {
        for (const { run } of running.splice(0).filter((each) => {
          if (each.endsAtMs > nowMs) running.push(each);
          return each.endsAtMs <= nowMs;
        })) {
          batcher.ended(run, nowMs);
        }
        for (;;) {
          const { refuse, next } = batcher.next(2 - running.length, nowMs);
          left.push(...refuse.map(({ request }) => request.name));
          if (next.kind === "wait") return;
          const { requests, items, length } = next.run;
          expect(items).toBeLessThanOrEqual(8);
          expect(new Set(requests.map(({ shapeKey }) => shapeKey)).size).toBe(1);
          const elements = requests.reduce((sum, each) => sum + each.items * each.length, 0);
          expect(1 - elements / (items * length)).toBeLessThanOrEqual(0.25);
          left.push(...requests.map(({ name }) => name));
          running.push({ run: next.run, endsAtMs: nowMs + slowMs });
        }
      };
      let nowMs = 0;
      arrivals.forEach(({ gapMs, budgetMs, leaves, ...facts }, index) => {
        nowMs += gapMs;
        const times = { enqueuedAtMs: nowMs, deadlineAtMs: nowMs + budgetMs };
        const request = aRequest({ ...facts, ...times, name: String(index) });
        const refused = batcher.enter(request, 2 - running.length, nowMs);
        left.push(...refused.map((refusal) => refusal.request.name));
        if (leaves && batcher.leave(request)) left.push(request.name);
        decide(nowMs);
      });
      for (let step = 0; step < 200; step += 1) decide((nowMs += 10));
      expect(batcher.waitingItems).toBe(0);
      expect(left.map(Number).sort((a, b) => a - b)).toEqual(arrivals.map((_, index) => index));
    }),
    { numRuns: 300 },
  );
});

test("the wait that is predicted is what runs, and what waits before it", () => {
  const batcher = batcherWith();
  expect(batcher.predictedWaitMs(1, 0)).toBe(0);
  for (const request of times(8, {})) batcher.enter(aRequest(request), 1, 0);
  batcher.next(1, 0);
  expect(batcher.predictedWaitMs(0, 6)).toBeCloseTo(10, 5);
  for (const request of times(16, {})) batcher.enter(aRequest(request), 0, 6);
  expect(batcher.predictedWaitMs(0, 6)).toBeCloseTo(10 + 32, 5);
});
