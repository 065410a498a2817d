import fc from "fast-check";
import { Histogram, Registry } from "prom-client";
import { expect, test } from "vitest";
import { talliedHistogram } from "../../../../src/adapters/prometheus/tallied-histogram.js";

const NAME = "weir_decision_seconds";
const HELP = "Time to decide.";
const BUCKETS = [0.1, 1, 10];

test("law: a scrape reads as that of prom-client's own histogram, however often it comes", async () => {
  const value = fc.oneof(
    fc.constantFrom(0, 0.1, 1, 10),
    fc.double({ min: 0, max: 20, noNaN: true }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(value, fc.constant("scrape" as const))), async (steps) => {
      const [ours, theirs] = [new Registry(), new Registry()];
      const observe = talliedHistogram(ours, NAME, HELP, BUCKETS);
      const registers = [theirs];
      const histogram = new Histogram({ name: NAME, help: HELP, buckets: BUCKETS, registers });
      for (const step of [...steps, "scrape" as const]) {
        if (step === "scrape") {
          expect(await ours.metrics()).toBe(await theirs.metrics());
          expect(await ours.getMetricsAsJSON()).toMatchObject([{ name: NAME, type: "histogram" }]);
          continue;
        }
        observe(step);
        histogram.observe(step);
      }
    }),
  );
});

test("law: so it does with labels", async () => {
  const label = fc.constantFrom("a", "b", "");
  const observation = fc.record({ value: fc.constantFrom(0, 0.1, 1, 5, 99), m: label, v: label });
  await fc.assert(
    fc.asyncProperty(fc.array(observation), async (observations) => {
      const [ours, theirs] = [new Registry(), new Registry()];
      const observe = talliedHistogram(ours, NAME, HELP, BUCKETS, "m", "v");
      const settings = { name: NAME, help: HELP, buckets: BUCKETS, labelNames: ["m", "v"] };
      const histogram = new Histogram({ ...settings, registers: [theirs] });
      for (const { value, ...labels } of observations) {
        observe(value, labels.m, labels.v);
        histogram.observe(labels, value);
      }
      expect(await ours.metrics()).toBe(await theirs.metrics());
    }),
  );
});
