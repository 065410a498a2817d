import fc from "fast-check";
import { Counter, Registry } from "prom-client";
import { expect, test } from "vitest";
import { talliedCounter } from "../../../../src/adapters/prometheus/tallied-counter.js";

const NAME = "weir_arm_decisions_total";
const HELP = "Arms decided.";
const LABELS = ["experiment", "arm", "reason"] as const;

test("law: a scrape reads as that of prom-client's own counter, however often it comes", async () => {
  const value = fc.constantFrom("a", "b", "-", "", "a,b", "__proto__");
  const counts = fc.array(fc.oneof(fc.tuple(value, value, value), fc.constant("scrape" as const)));
  await fc.assert(
    fc.asyncProperty(counts, async (steps) => {
      const [ours, theirs] = [new Registry(), new Registry()];
      const count = talliedCounter(ours, NAME, HELP, ...LABELS);
      const counter = new Counter({
        name: NAME,
        help: HELP,
        labelNames: LABELS,
        registers: [theirs],
      });
      for (const step of [...steps, "scrape" as const]) {
        if (step === "scrape") {
          expect(await ours.metrics()).toBe(await theirs.metrics());
          continue;
        }
        const [experiment, arm, reason] = step;
        count(experiment, arm, reason);
        counter.inc({ experiment, arm, reason });
      }
    }),
  );
});
