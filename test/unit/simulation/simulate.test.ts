import { describe, expect, test } from "vitest";
import { handTuned } from "../../../src/simulation/contenders.js";
import {
  answered,
  fairness,
  goodput,
  latencyMs,
  ours,
  refusals,
} from "../../../src/simulation/measures.js";
import { TrueLatency } from "../../../src/simulation/profile.js";
import { simulate } from "../../../src/simulation/simulate.js";
import type { World } from "../../../src/simulation/simulate.js";
import { bursts, lengths, poisson, tenants } from "../../../src/simulation/traces.js";
import type { Trace } from "../../../src/simulation/traces.js";

/** 8 ms a run and 0.5 ms an item, as on an accelerator; one run in four takes a twentieth longer. */
const ACCELERATOR = new TrueLatency({
  model: "accelerator",
  machine: "made up",
  points: [1, 2, 4, 8, 16, 32].map((items) => {
    const ms = 8 + items / 2;
    return { items, length: 1, ms, p75Ms: ms * 1.05 };
  }),
});
const SETTING = { latency: ACCELERATOR, sloMs: 100, count: 1500, instances: 1, seed: 1 };

const worldOf = ({ arrivals }: Trace, latency = ACCELERATOR): World => ({
  ...{ latency, arrivals, instances: 1, seed: 1 },
});

function bestStatic(world: World): number {
  const all = handTuned(world, SETTING.sloMs).map(({ make }) => {
    return goodput(answered(simulate(world, make())));
  });
  return Math.max(...all);
}

test("every request has one outcome, and the same seed the same outcomes", () => {
  const world = worldOf(bursts(SETTING));
  const first = simulate(world, ours(world));
  expect(answered(first)).toHaveLength(SETTING.count);
  expect(simulate(world, ours(world)).outcomes).toEqual(first.outcomes);
});

test("with time enough for all, everything is answered in time", () => {
  const world = worldOf(poisson(SETTING, 0.6));
  expect(goodput(answered(simulate(world, ours(world))))).toBe(1);
});

test("while little comes, the median is that of no batching", () => {
  const world = worldOf(poisson(SETTING, 0.02));
  const [single] = handTuned(world, SETTING.sloMs);
  if (single === undefined) throw new Error("the first contender does not batch");
  const none = latencyMs(answered(simulate(world, single.make())), 0.5);
  expect(latencyMs(answered(simulate(world, ours(world))), 0.5) / none).toBeLessThan(1.02);
});

describe("in overload", () => {
  const world = worldOf(bursts(SETTING));
  const simulated = simulate(world, ours(world));

  test("untuned it answers a fifth more in time than any size and window", () => {
    expect(goodput(answered(simulated)) / bestStatic(world)).toBeGreaterThan(1.2);
  });

  test("what it runs is on time, and what it refuses there was no time for", () => {
    const outcomes = answered(simulated);
    const late = outcomes.filter(({ refused, isOnTime }) => refused === undefined && !isOnTime);
    expect(late.length / outcomes.length).toBeLessThan(0.02);
    expect(refusals(world, simulated, 1).busy).toBeGreaterThan(0.95);
  });

  test("a tenant that sends ten times as much does not take the share of another", () => {
    const shared = worldOf(tenants(SETTING));
    expect(fairness(answered(simulate(shared, ours(shared))))).toBeGreaterThan(0.95);
  });
});

test("lengths are mixed where padding costs less than another run", () => {
  const sizes = [1, 2, 4, 8, 16];
  const latency = new TrueLatency({
    ...{ model: "lengths", machine: "made up" },
    points: [64, 512].flatMap((length) =>
      sizes.map((items) => {
        const ms = 4 + (items * length) / 64;
        return { items, length, ms, p75Ms: ms * 1.05 };
      }),
    ),
  });
  const world = worldOf(lengths({ ...SETTING, latency }, 1.2), latency);
  expect(goodput(answered(simulate(world, ours(world)))) / bestStatic(world)).toBeGreaterThan(1.2);
});
