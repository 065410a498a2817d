import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sizeAndWindow } from "../../../../src/core/batching/decide-batch.js";
import type { QueuedRequest } from "../../../../src/core/batching/decide-batch.js";

const decide = sizeAndWindow({ maxBatchSize: 8, maxQueueDelayMs: 5 });

const waiting = (over: Partial<QueuedRequest> = {}): QueuedRequest => ({
  ...{ items: 1, shapeKey: "a", enqueuedAtMs: 100, priority: 0, tenant: "", alone: false },
  ...over,
});
const times = (count: number, over: Partial<QueuedRequest> = {}) =>
  Array.from({ length: count }, () => waiting(over));

type Case = {
  readonly name: string;
  readonly queue: readonly QueuedRequest[];
  readonly nowMs: number;
  readonly idleInstances?: number;
  /** Places in the queue. */
  readonly run?: readonly number[];
  readonly waitUntilMs?: number;
  readonly refuse?: readonly number[];
};

describe("a queue is decided by size and window", () => {
  test.each<Case>([
    { name: "empty: nothing to do", queue: [], nowMs: 100 },
    { name: "just arrived: waits for others", queue: times(1), nowMs: 100, waitUntilMs: 105 },
    { name: "window over: runs what there is", queue: times(2), nowMs: 105, run: [0, 1] },
    {
      name: "full: runs without waiting",
      queue: times(8),
      nowMs: 100,
      run: [0, 1, 2, 3, 4, 5, 6, 7],
    },
    {
      name: "items are counted, not requests",
      queue: [waiting({ items: 5 }), waiting({ items: 3 }), waiting()],
      nowMs: 100,
      run: [0, 1],
    },
    {
      name: "a request that no longer fits closes the batch and is not overtaken",
      queue: [waiting({ items: 5 }), waiting({ items: 4 }), waiting({ items: 3 })],
      nowMs: 100,
      run: [0],
    },
    {
      name: "a request larger than a batch runs alone",
      queue: [waiting({ items: 9 }), waiting()],
      nowMs: 100,
      run: [0],
    },
    {
      name: "another shape does not block a full batch behind it",
      queue: [waiting({ shapeKey: "b" }), ...times(8)],
      nowMs: 100,
      run: [1, 2, 3, 4, 5, 6, 7, 8],
    },
    {
      name: "other shapes do not join",
      queue: [waiting(), waiting({ shapeKey: "b" }), waiting()],
      nowMs: 105,
      run: [0, 2],
    },
    {
      name: "the oldest shape whose window is over goes before a full one",
      queue: [waiting({ shapeKey: "b", enqueuedAtMs: 90 }), ...times(8)],
      nowMs: 100,
      run: [0],
    },
    {
      name: "a deadline that is over is refused, the rest waits",
      queue: [waiting({ deadlineAtMs: 101 }), waiting()],
      nowMs: 101,
      refuse: [0],
      waitUntilMs: 105,
    },
    {
      name: "no instance is idle: waits for the first deadline only",
      queue: [waiting({ deadlineAtMs: 300 }), waiting({ deadlineAtMs: 200 }), ...times(8)],
      nowMs: 150,
      idleInstances: 0,
      waitUntilMs: 200,
    },
    {
      name: "a request whose batch failed runs by itself at once",
      queue: [waiting(), waiting({ alone: true }), waiting()],
      nowMs: 100,
      run: [1],
    },
    {
      name: "no instance, no deadline: nothing to do",
      queue: times(9),
      nowMs: 150,
      idleInstances: 0,
    },
  ])("$name", ({ queue, nowMs, idleInstances = 1, run, waitUntilMs, refuse = [] }) => {
    const decision = decide({ waiting: queue, idleInstances }, nowMs);
    expect(decision.refuse.map(({ request }) => queue.indexOf(request))).toEqual(refuse);
    const { next } = decision;
    expect(
      next.kind === "run" ? next.requests.map((each) => queue.indexOf(each)) : undefined,
    ).toEqual(run);
    expect(next.kind === "wait" ? next.untilMs : undefined).toEqual(waitUntilMs);
  });
});

test("no batch is too large, mixes shapes or holds an expired request, and all leave in the end", () => {
  const request = fc.record({
    items: fc.integer({ min: 0, max: 12 }),
    shapeKey: fc.constantFrom("a", "b", "c"),
    enqueuedAtMs: fc.integer({ min: 0, max: 50 }),
    deadlineAtMs: fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined }),
    priority: fc.constant(0),
    tenant: fc.constant(""),
    alone: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(request, { maxLength: 30 }),
      fc.integer({ min: 0, max: 80 }),
      (queue, start) => {
        let left: readonly QueuedRequest[] = queue;
        let nowMs = start;
        while (left.length > 0) {
          const { refuse, next } = decide({ waiting: left, idleInstances: 1 }, nowMs);
          const gone = new Set<QueuedRequest>(refuse.map((each) => each.request));
          if (next.kind === "run") {
            const items = next.requests.reduce((sum, each) => sum + each.items, 0);
            expect(items <= 8 || next.requests.length === 1).toBe(true);
            expect(new Set(next.requests.map((each) => each.shapeKey)).size).toBe(1);
            expect(next.requests.some((each) => each.alone) && next.requests.length > 1).toBe(
              false,
            );
            for (const each of next.requests) {
              expect(each.deadlineAtMs ?? Infinity).toBeGreaterThan(nowMs);
              expect(gone.has(each)).toBe(false);
              gone.add(each);
            }
          }
          if (next.kind === "wait") {
            expect(next.untilMs).toBeGreaterThan(nowMs);
            nowMs = next.untilMs;
          } else expect(gone.size).toBeGreaterThan(0);
          left = left.filter((each) => !gone.has(each));
        }
      },
    ),
  );
});
