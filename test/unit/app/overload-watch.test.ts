import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { watchOverload, type OverloadChange } from "../../../src/app/overload-watch.js";

let nowMs = 0;
const changes: OverloadChange[] = [];
beforeEach(() => {
  nowMs = 0;
  changes.length = 0;
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const watch = () =>
  watchOverload({
    clock: { nowMs: () => 0, monotonicMs: () => nowMs },
    cpuMs: () => nowMs,
    maxLagMs: 25,
    onChange: (change) => changes.push(change),
  });

/** The next tick, so much later than due. */
function tick(lateMs = 0): void {
  nowMs += 10 + lateMs;
  vi.advanceTimersByTime(10);
}

test("a row of late ticks is told once, and the end of it too", () => {
  const overload = watch();
  for (let one = 0; one < 10; one += 1) tick(30);
  expect(overload.isShedding()).toBe(true);
  for (let one = 0; one < 60; one += 1) tick();
  expect(overload.isShedding()).toBe(false);
  expect(changes).toEqual([
    { isShedding: true, lagMs: 30, undecidedStreams: 0 },
    { isShedding: false, lagMs: 0, undecidedStreams: 0 },
  ]);
});

test("requests of one long turn see it: the turn is shed when it has been late for 200 ms", () => {
  const overload = watch();
  const shed = Array.from({ length: 30 }, () => {
    nowMs += 10;
    return overload.isShedding();
  });
  expect(shed.indexOf(true)).toBe(23);
});

test("one request after a long stall does not", () => {
  const overload = watch();
  nowMs += 5000;
  expect(overload.isShedding()).toBe(false);
  tick();
  tick();
  expect(overload.isShedding()).toBe(false);
});

test("streams that wait are counted until they are decided or closed", () => {
  const overload = watch();
  for (let one = 0; one < 10_001; one += 1) overload.undecided(1);
  tick();
  expect(overload.isShedding()).toBe(true);
  for (let one = 0; one < 10_001; one += 1) overload.undecided(-1);
  for (let one = 0; one < 60; one += 1) tick();
  expect(overload.isShedding()).toBe(false);
});

test("closed, it ticks no more", () => {
  const overload = watch();
  overload.close();
  for (let one = 0; one < 10; one += 1) tick(30);
  expect(changes).toEqual([]);
});
