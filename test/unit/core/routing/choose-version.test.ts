import fc from "fast-check";
import { expect, test } from "vitest";
import { chooseVersion } from "../../../../src/core/routing/choose-version.js";
import { aModel, aPolicy } from "../../../support/policy-builder.js";

const address = { host: "h", port: 1 };
const model = aPolicy({
  models: [
    aModel({
      versions: [
        { name: "v1", region: "eu", address },
        { name: "v2", region: "me", address },
        { name: "v3", region: "eu", address },
        { name: "v4", region: "me", address },
        { name: "v5", address },
      ],
      default: "v1",
      fallback: "v3",
    }),
  ],
}).models.get("m");
const choose = (wanted: string, regions: readonly string[][], unhealthy: readonly string[]) => {
  const choice = chooseVersion(
    model!,
    model!.versions.get(wanted)!,
    regions.map((allowed) => new Set(allowed)),
    new Set(unhealthy.map((name) => `m/${name}`)),
  );
  return choice.kind === "refused" ? "refused" : [choice.version.name, choice.moved];
};

test.each([
  {
    name: "healthy and allowed stays",
    wanted: "v2",
    regions: [],
    unhealthy: [],
    expected: ["v2", null],
  },
  {
    name: "unhealthy goes to the fallback",
    wanted: "v2",
    regions: [],
    unhealthy: ["v2"],
    expected: ["v3", "unhealthy"],
  },
  {
    name: "with an unhealthy fallback to the default",
    wanted: "v2",
    regions: [],
    unhealthy: ["v2", "v3"],
    expected: ["v1", "unhealthy"],
  },
  {
    name: "when nothing is healthy it stays",
    wanted: "v2",
    regions: [],
    unhealthy: ["v1", "v2", "v3", "v4"],
    expected: ["v2", null],
  },
  {
    name: "another version's health says nothing",
    wanted: "v2",
    regions: [],
    unhealthy: ["v1"],
    expected: ["v2", null],
  },
  {
    name: "a version outside the region moves inside",
    wanted: "v1",
    regions: [["me"]],
    unhealthy: [],
    expected: ["v2", "residency"],
  },
  {
    name: "to the fallback, if that is inside",
    wanted: "v2",
    regions: [["eu"]],
    unhealthy: [],
    expected: ["v3", "residency"],
  },
  {
    name: "to a healthy one inside",
    wanted: "v1",
    regions: [["me"]],
    unhealthy: ["v2"],
    expected: ["v4", "residency"],
  },
  {
    name: "to an unhealthy one inside before any outside",
    wanted: "v1",
    regions: [["me"]],
    unhealthy: ["v2", "v4"],
    expected: ["v2", "residency"],
  },
  {
    name: "an unhealthy one inside does not leave the region",
    wanted: "v2",
    regions: [["me"]],
    unhealthy: ["v2"],
    expected: ["v2", null],
  },
  {
    name: "a version without a region is allowed nowhere",
    wanted: "v5",
    regions: [["eu"]],
    unhealthy: [],
    expected: ["v3", "residency"],
  },
  {
    name: "two rules must both hold",
    wanted: "v1",
    regions: [["eu", "me"], ["me"]],
    unhealthy: [],
    expected: ["v2", "residency"],
  },
  {
    name: "two rules that exclude each other refuse",
    wanted: "v1",
    regions: [["eu"], ["me"]],
    unhealthy: [],
    expected: "refused",
  },
  {
    name: "a region that nobody serves refuses",
    wanted: "v1",
    regions: [["us"]],
    unhealthy: [],
    expected: "refused",
  },
])("$name", ({ wanted, regions, unhealthy, expected }) => {
  expect(choose(wanted, regions, unhealthy)).toEqual(expected);
});

test("residency is law: what is served is allowed by every rule, or nothing is served", () => {
  const versions = ["v1", "v2", "v3", "v4", "v5"];
  const region = fc.subarray(["eu", "me", "us"], { minLength: 1 });
  fc.assert(
    fc.property(
      fc.constantFrom(...versions),
      fc.array(region, { maxLength: 3 }),
      fc.subarray(versions),
      (wanted, regions, unhealthy) => {
        const allowed = [...model!.versions.values()].filter((version) =>
          regions.every((rule) => version.region !== undefined && rule.includes(version.region)),
        );
        const choice = choose(wanted, regions, unhealthy);
        if (choice === "refused") expect(allowed).toEqual([]);
        else expect(allowed.map(({ name }) => name)).toContain(choice[0]);
      },
    ),
  );
});
