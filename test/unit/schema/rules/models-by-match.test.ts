import fc from "fast-check";
import { expect, test } from "vitest";
import { modelsByMatch } from "../../../../src/schema/rules/models-by-match.js";
import type { Model } from "../../../../src/schema/model.js";
import { aPolicy, aModel } from "../../../support/policy-builder.js";

/** The rules as the reference tells them, each model compared with every other. */
function covers(pattern: string, host: string): boolean {
  if (pattern === "*" || pattern === host) return true;
  return pattern.startsWith("*.") && host.replace(/^\*/, "").endsWith(pattern.slice(1));
}
const hidingOneByOne = (models: readonly Model[], at: number) =>
  models
    .slice(0, at)
    .find(
      ({ match }) =>
        match.pathPrefix === models[at]!.match.pathPrefix &&
        models[at]!.match.hosts.every((host) =>
          match.hosts.some((pattern) => covers(pattern, host)),
        ),
    );
const sharingOneByOne = (models: readonly Model[], at: number) =>
  models.find(
    ({ name, match }) =>
      name < models[at]!.name &&
      match.pathPrefix === models[at]!.match.pathPrefix &&
      match.hosts.some((host) => models[at]!.match.hosts.includes(host)),
  );

const host = fc
  .array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 3 })
  .map((labels) => labels.join("."));
const pattern = fc.oneof(
  host,
  host.map((suffix) => `*.${suffix}`),
  fc.constant("*"),
);
const model = fc.record({
  name: fc.constantFrom("a", "b", "c", "d", "e"),
  pathPrefix: fc.constantFrom("/", "/x"),
  hosts: fc.array(pattern, { minLength: 1, maxLength: 3 }),
});

test("law: competing models are those that a comparison of every two finds", () => {
  const base = aPolicy({ models: [aModel()] }).source.models[0]!;
  fc.assert(
    fc.property(fc.array(model, { maxLength: 10 }), (drawn) => {
      const models = drawn.map(({ name, ...match }) => ({ ...base, name, match }));
      const { hiding, sharing } = modelsByMatch(models);
      models.forEach((_, at) => {
        expect(hiding(at)).toBe(hidingOneByOne(models, at));
        expect(sharing(at)).toBe(sharingOneByOne(models, at));
      });
    }),
    { numRuns: 2000 },
  );
});
