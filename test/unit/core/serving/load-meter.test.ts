import { expect, test } from "vitest";
import { LoadMeter } from "../../../../src/core/serving/load-meter.js";

const INSTANCES = new Map([
  ["busy/1", 2],
  ["idle/1", 1],
]);

/** One run of 100 ms every 100 ms, of one of two instances. */
function halfBusy(forMs: number): LoadMeter {
  const meter = new LoadMeter(0);
  for (let atMs = 100; atMs <= forMs; atMs += 100) {
    meter.ran("busy/1", 0.1, atMs);
    meter.waited(0.02, atMs);
    meter.answered(atMs % 1000 === 0, atMs);
  }
  return meter;
}

test.each([1000, 5000, 60_000])("after %i ms the load is that of the work", (forMs) => {
  const load = halfBusy(forMs).at(forMs, INSTANCES);
  expect(load.utilization).toBeCloseTo(0.5, 1);
  expect(load.queueWaitMs).toBeCloseTo(20, 5);
  expect(load.requestsPerSecond / 10).toBeCloseTo(1, 1);
  expect(load.errorsPerSecond).toBeGreaterThan(0.5);
});

test("a process that rests forgets its load", () => {
  const load = halfBusy(5000).at(120_000, INSTANCES);
  expect(load.utilization).toBeLessThan(1e-6);
  expect(load).toMatchObject({ queueWaitMs: 0, queuedItems: 0 });
});

test("a version that is no longer served does not count", () => {
  expect(halfBusy(5000).at(5000, new Map([["idle/1", 1]])).utilization).toBe(0);
});

test("items wait in all queues together", () => {
  const meter = new LoadMeter(0);
  meter.queued("a/1", 3);
  meter.queued("b/1", 4);
  meter.queued("a/1", 0);
  expect(meter.at(1, INSTANCES).queuedItems).toBe(4);
});
