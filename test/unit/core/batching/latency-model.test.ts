import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LatencyModel } from "../../../../src/core/batching/latency-model.js";

/** 4 ms a run and 1 ms an item. */
const AFFINE = [1, 2, 4, 8, 16, 32].map((items) => ({ items, length: 1, ms: 4 + items }));
/** 10 ms an item, whatever the batch. */
const FLAT = [1, 2, 4, 8].map((items) => ({ items, length: 1, ms: 10 * items }));

const ROUNDING = 1e-9;

const rising = (model: LatencyModel, length = 1) => {
  const costs = model.curve(length).map(({ ms }) => ms);
  return costs.every((ms, at) => ms >= (costs[at - 1] ?? 0) * (1 - ROUNDING));
};

test("between the sizes of the warm-up costs are linear", () => {
  const model = new LatencyModel(32, AFFINE);
  expect([1, 5, 32].map((items) => model.meanMs(items, 1))).toEqual([5, 9, 36]);
});

test.each([
  { name: "batching pays, and time is short", profile: AFFINE, isShort: true, size: 32 },
  { name: "a smaller batch serves nearly as many", profile: AFFINE, isShort: false, size: 16 },
  { name: "batching gains nothing", profile: FLAT, isShort: true, size: 1 },
])("$name: the best size is $size", ({ profile, isShort, size }) => {
  expect(new LatencyModel(profile.at(-1)?.items ?? 1, profile).bestSize(1, isShort)).toBe(size);
});

test("a size of the warm-up that a stall disturbed is mended by larger ones", () => {
  const stalled = AFFINE.map((point) => (point.items === 8 ? { ...point, ms: 900 } : point));
  const model = new LatencyModel(32, stalled);
  expect(model.meanMs(8, 1)).toBe(20);
  expect(model.bestSize(1, true)).toBe(32);
});

test("one stalled run moves a prediction by less than a tenth", () => {
  const model = new LatencyModel(32, AFFINE);
  model.observe(4, 1, 60_000, 60_000);
  expect(model.meanMs(4, 1)).toBeLessThan(8 * 1.1);
  expect(model.highMs(4, 1)).toBeLessThan(8 * 1.6);
});

test.each([0.2, 5])(
  "a machine that is %d times as slow is found out, in sizes never run too",
  (slower) => {
    const model = new LatencyModel(32, AFFINE);
    for (let run = 1; run <= 60; run += 1) model.observe(4, 1, 8 * slower, run * 10);
    expect(model.meanMs(4, 1) / (8 * slower)).toBeCloseTo(1, 1);
    expect(model.meanMs(32, 1) / (36 * slower)).toBeGreaterThan(0.6);
    expect(model.meanMs(32, 1) / (36 * slower)).toBeLessThan(1.7);
  },
);

test("after a slow hour and a silence, one run is enough to believe again", () => {
  const model = new LatencyModel(32, AFFINE);
  for (let run = 1; run <= 60; run += 1) model.observe(1, 1, 500, run * 500);
  expect(model.meanMs(1, 1)).toBeGreaterThan(200);
  model.observe(1, 1, 5, 60_000);
  expect(model.meanMs(1, 1)).toBeLessThan(10);
});

test("noise does not make it drift, nor the sizes that do not run", () => {
  const model = new LatencyModel(32, AFFINE);
  for (let run = 1; run <= 3000; run += 1) {
    const items = run % 4 === 0 ? 2 : 1;
    const noise = run % 2 === 0 ? 1.6 : 1 / 1.6;
    model.observe(items, 1, (4 + items) * noise, run * 10);
  }
  expect(model.meanMs(1, 1) / 5).toBeCloseTo(1, 0);
  expect(model.meanMs(32, 1) / 36).toBeGreaterThan(0.6);
  expect(model.meanMs(32, 1) / 36).toBeLessThan(1.6);
});

test("who knows nothing predicts no time, and takes the first run for the model", () => {
  const model = new LatencyModel(8, []);
  expect([model.meanMs(8, 1), model.bestSize(1, false)]).toEqual([0, undefined]);
  model.observe(1, 1, 10, 10);
  expect(model.meanMs(1, 1)).toBe(10);
  expect(model.bestSize(1, true)).toBe(8);
});

test("a length that never ran is guessed from the nearest: what is fixed stays", () => {
  const model = new LatencyModel(8, [
    { items: 1, length: 100, ms: 5 },
    { items: 8, length: 100, ms: 12 },
  ]);
  expect(model.meanMs(1, 200)).toBeCloseTo(6);
  expect(model.meanMs(8, 200)).toBeCloseTo(20);
});

describe("laws", () => {
  const profile = fc
    .array(fc.double({ min: 0.01, max: 1000, noNaN: true }), { minLength: 6, maxLength: 6 })
    .map((costs) => costs.map((ms, at) => ({ items: 2 ** at, length: 1, ms })));
  const run = fc.record({
    items: fc.integer({ min: 1, max: 32 }),
    ms: fc.double({ min: 0, max: 10_000, noNaN: true }),
  });

  test("whatever is measured, costs are positive and rise with the size", () => {
    fc.assert(
      fc.property(profile, fc.array(run), (points, runs) => {
        const model = new LatencyModel(32, points);
        let nowMs = 0;
        for (const { items, ms } of runs) model.observe(items, 1, ms, (nowMs += ms + 1));
        expect(model.meanMs(1, 1)).toBeGreaterThan(0);
        expect(rising(model)).toBe(true);
      }),
    );
  });

  test("sizeWithin is the largest size that costs no more", () => {
    fc.assert(
      fc.property(profile, fc.double({ min: 0, max: 2000, noNaN: true }), (points, ms) => {
        const model = new LatencyModel(32, points);
        const size = model.sizeWithin(ms, 32, 1);
        if (size > 0) expect(model.meanMs(size, 1)).toBeLessThanOrEqual(ms * (1 + ROUNDING));
        if (size < 32) expect(model.meanMs(size + 1, 1)).toBeGreaterThan(ms * (1 - ROUNDING));
      }),
    );
  });
});
