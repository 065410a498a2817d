import fc from "fast-check";
import { expect, test } from "vitest";
import { afterCheck, INITIAL_HEALTH } from "../../../../src/core/routing/version-health.js";

/** The state after each check: + passed, - failed; H healthy, U unhealthy. */
function statesOf(checks: string, unhealthyThreshold: number, healthyThreshold: number): string {
  let state = INITIAL_HEALTH;
  return Array.from(checks, (check) => {
    state = afterCheck(state, check === "+", { unhealthyThreshold, healthyThreshold });
    return state.healthy ? "H" : "U";
  }).join("");
}

test.each([
  { name: "one failure is forgiven", checks: "-+-+-", unhealthy: 2, healthy: 1, states: "HHHHH" },
  { name: "two in a row are not", checks: "--+--", unhealthy: 2, healthy: 1, states: "HUHHU" },
  { name: "threshold one trips at once", checks: "-+-", unhealthy: 1, healthy: 1, states: "UHU" },
  { name: "it recovers slowly", checks: "--++-+++", unhealthy: 2, healthy: 3, states: "HUUUUUUH" },
])("$name", ({ checks, unhealthy, healthy, states }) => {
  expect(statesOf(checks, unhealthy, healthy)).toBe(states);
});

test("the state changes exactly when the last checks all contradict it, threshold of them", () => {
  const threshold = fc.integer({ min: 1, max: 5 });
  fc.assert(
    fc.property(fc.array(fc.boolean()), threshold, threshold, (checks, unhealthy, healthy) => {
      let state = INITIAL_HEALTH;
      let sinceChange: boolean[] = [];
      for (const passed of checks) {
        const before = state.healthy;
        state = afterCheck(state, passed, {
          unhealthyThreshold: unhealthy,
          healthyThreshold: healthy,
        });
        sinceChange.push(passed);
        const needed = before ? unhealthy : healthy;
        const last = sinceChange.slice(-needed);
        const shouldFlip = last.length === needed && last.every((each) => each !== before);
        expect(state.healthy !== before).toBe(shouldFlip);
        if (shouldFlip) sinceChange = [];
      }
    }),
  );
});
