import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { CLUSTER_RESOURCES } from "../../../../src/adapters/mesh/read-cluster.js";

type Rule = {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
};

test("the ClusterRole of the documentation is what is read, and no more", () => {
  const page = readFileSync(new URL("../../../../docs/doctor.md", import.meta.url), "utf8");
  const [, text = ""] = /```yaml\n([^`]*kind: ClusterRole[^`]*)```/.exec(page) ?? [];
  const { rules } = parse(text) as { readonly rules: readonly Rule[] };
  const granted = rules.flatMap(({ apiGroups, resources, verbs }) => {
    expect(verbs).toEqual(["list"]);
    return resources.map((resource) => `${apiGroups[0] ?? ""}/${resource}`);
  });
  const read = Object.entries(CLUSTER_RESOURCES).flatMap(([apiVersion, kinds]) =>
    Object.keys(kinds).map((plural) => `${apiVersion.replace(/\/?v[^/]+$/, "")}/${plural}`),
  );
  expect(granted.sort()).toEqual(read.sort());
});
