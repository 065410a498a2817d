import { expect, test } from "vitest";
import { LatencyModel } from "../../../../src/core/batching/latency-model.js";
import { isWorthWaiting } from "../../../../src/core/batching/worth-waiting.js";

/** 5 ms a run and 0.2 ms an item, as on an accelerator. */
const COSTS = new LatencyModel(
  32,
  [1, 2, 4, 8, 16, 32].map((items) => ({ items, length: 1, ms: 5 + 0.2 * items })),
);

test.each([
  { name: "the next is expected in 1 ms: one waits", items: 1, gapMs: 1, idle: 1, waits: true },
  { name: "four would lose more than it gains", items: 4, gapMs: 1, idle: 1, waits: false },
  { name: "they wait for one that comes at once", items: 4, gapMs: 0.1, idle: 1, waits: true },
  { name: "the next is far off", items: 1, gapMs: 3, idle: 1, waits: false },
  { name: "nobody is expected", items: 1, gapMs: Infinity, idle: 1, waits: false },
  { name: "another instance is idle", items: 1, gapMs: 1, idle: 2, waits: false },
])("$name", ({ items, gapMs, idle, waits }) => {
  const candidate = { requests: items, items, length: 1, gapMs, idleInstances: idle };
  expect(isWorthWaiting(candidate, COSTS)).toBe(waits);
});
