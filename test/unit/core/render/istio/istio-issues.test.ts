import { expect, test } from "vitest";
import { istioIssues } from "../../../../../src/core/render/istio/istio-issues.js";
import { ISTIO_DEFAULTS } from "../../../../../src/core/render/istio/options.js";
import { Policy } from "../../../../../src/schema/policy.js";
import {
  aModel,
  aPolicyDocument,
  type ModelInput,
  type PolicyInput,
} from "../../../../support/policy-builder.js";

const at = (host: string) => ({ host, port: 8080 });
const SHARED = at("m.models.svc.cluster.local");
const versions = (...hosts: readonly string[]) =>
  hosts.map((host, index) => ({ name: `v${index + 1}`, address: at(host) }));

function issues(
  changes: Partial<ModelInput>,
  { clientNamespaces = [], ...policy }: Partial<PolicyInput> & { clientNamespaces?: string[] } = {},
): readonly string[] {
  const model = aModel({ versions: versions("m.models.svc.cluster.local"), ...changes });
  const parsed = Policy.parse(aPolicyDocument({ models: [model], ...policy }));
  return istioIssues(parsed, { ...ISTIO_DEFAULTS, clientNamespaces }).map(
    ({ path, message }) => `${path.join(".")}: ${message}`,
  );
}

test.each(["m.models.svc.cluster.local", "models.example.com", "10.0.0.1", "::1"])(
  "a model at %s can be rendered",
  (host) => {
    expect(issues({ versions: versions(host) })).toEqual([]);
  },
);

test.each(["m-v1", "localhost", "m.models.svc", "Models.example.com"])(
  "a model at %s cannot, since Istio would read it otherwise",
  (host) => {
    expect(issues({ versions: versions(host) })).toEqual([
      expect.stringMatching(
        /^models\.0\.versions\.0\.address\.host: .*NAME\.NAMESPACE\.svc\.cluster\.local/,
      ),
    ]);
  },
);

test("a shadow's own address is held to the same", () => {
  const shadow = { name: "s", model: "m", version: "v1", unit: "user", share: 1 };
  expect(issues({}, { shadows: [{ ...shadow, address: at("next") }] })).toEqual([
    expect.stringMatching(/^shadows\.0\.address\.host: /),
  ]);
});

test("names that Kubernetes would refuse are refused", () => {
  expect(issues({ name: "m-" }, { metadata: { name: "p-" } })).toEqual([
    expect.stringMatching(/^metadata\.name: p- /),
    expect.stringMatching(/^models\.0\.name: m- /),
  ]);
});

test("versions that would be one subset are refused", () => {
  const twins = ["1.0", "1_0"].map((name) => ({ name, address: SHARED }));
  expect(issues({ versions: twins, default: "1.0" })).toEqual([
    expect.stringMatching(/^models\.0\.versions\.0\.name: versions 1\.0 and 1_0/),
    expect.stringMatching(/^models\.0\.versions\.1\.name: versions 1_0 and 1\.0/),
  ]);
});

test("a version that cannot be a label is refused where it must be one", () => {
  const shared = ["v1-", "v2"].map((name) => ({ name, address: SHARED }));
  expect(issues({ versions: shared, default: "v2" })).toEqual([
    expect.stringMatching(/^models\.0\.versions\.0\.name: .*label version=v1-/),
  ]);
  const apart = [{ name: "v1-", address: SHARED }];
  expect(issues({ versions: apart, default: "v1-" })).toEqual([]);
});

test("a name too long for a subset is refused", () => {
  const name = `s${"x".repeat(60)}`;
  const shadow = { name, model: "m", version: "v1", unit: "user", share: 1 };
  expect(issues({}, { shadows: [shadow] })).toEqual([expect.stringMatching(/^shadows\.0\.name: /)]);
});

test("a status without a name is not retried by Istio", () => {
  expect(issues({ retries: { on: ["503", "599"] } })).toEqual([
    expect.stringMatching(/^models\.0\.retries\.on\.1: .*599/),
  ]);
});

test("sidecars cannot route by the host *", () => {
  const clientNamespaces = ["apps"];
  expect(issues({}, { clientNamespaces })).toEqual([
    expect.stringMatching(/^models\.0\.match\.hosts: sidecars of apps .*model m/),
  ]);
  const match = { hosts: ["*", "m.models.svc.cluster.local"], pathPrefix: "/" };
  expect(issues({ match }, { clientNamespaces })).toEqual([]);
});
