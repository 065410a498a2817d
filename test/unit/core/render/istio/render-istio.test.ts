import { expect, test } from "vitest";
import { writeKubernetesYaml } from "../../../../../src/adapters/yaml/write-yaml.js";
import { ISTIO_DEFAULTS, type IstioOptions } from "../../../../../src/core/render/istio/options.js";
import { renderIstio } from "../../../../../src/core/render/istio/render-istio.js";
import { Policy } from "../../../../../src/schema/policy.js";
import { aModel, aPolicyDocument, type PolicyInput } from "../../../../support/policy-builder.js";

type Resource = {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: Readonly<Record<string, unknown>>;
};

const service = (name: string, namespace = "models") => ({
  host: `${name}.${namespace}.svc.cluster.local`,
  port: 8080,
});
const MODEL = aModel({
  versions: [
    { name: "v1", address: service("m-v1") },
    { name: "v2", address: service("m-v2", "others") },
  ],
});

function rendered(
  changes: Partial<PolicyInput> = {},
  options: Partial<IstioOptions> = {},
): readonly Resource[] {
  const policy = Policy.parse(aPolicyDocument({ models: [MODEL], ...changes }));
  return renderIstio(policy, { ...ISTIO_DEFAULTS, ...options }).map(
    ({ root }) => root as unknown as Resource,
  );
}

const of = (kind: string, resources: readonly Resource[]) =>
  resources.filter((resource) => resource.kind === kind);
const names = (resources: readonly Resource[]) =>
  resources.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);

/** Every value under a key, wherever it stands. */
function valuesOf(tree: unknown, key: string): readonly unknown[] {
  if (Array.isArray(tree)) return tree.flatMap((item) => valuesOf(item, key));
  if (tree === null || typeof tree !== "object") return [];
  return Object.entries(tree).flatMap(([name, value]) => [
    ...(name === key ? [value as unknown] : []),
    ...valuesOf(value, key),
  ]);
}

test("no two resources have one name", () => {
  const all = rendered({}, { clientNamespaces: ["apps"] });
  const keys = all.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`);
  expect(new Set(keys).size).toBe(keys.length);
});

test("what guards pods stands in every namespace that holds some", () => {
  const resources = rendered();
  for (const kind of ["PeerAuthentication", "AuthorizationPolicy"]) {
    expect(names(of(kind, resources))).toEqual([
      "weir-system/weir-extproc",
      "models/weir-m",
      "others/weir-m",
    ]);
  }
});

test("Services need no ServiceEntry; what is outside gets one and needs no guards", () => {
  expect(of("ServiceEntry", rendered())).toEqual([]);
  const outside = rendered({
    models: [aModel({ versions: [{ name: "v1", address: { host: "10.0.0.7", port: 80 } }] })],
  });
  expect(of("ServiceEntry", outside)[0]?.spec).toEqual({
    hosts: ["ip-10-0-0-7.weir.internal"],
    location: "MESH_EXTERNAL",
    ports: [{ number: 80, name: "http-80", protocol: "HTTP" }],
    resolution: "STATIC",
    endpoints: [{ address: "10.0.0.7" }],
  });
  expect(names(of("PeerAuthentication", outside))).toEqual(["weir-system/weir-extproc"]);
});

test.each([
  ["::1", "ip-0--1.weir.internal"],
  ["fe80::", "ip-fe80--0.weir.internal"],
  ["2001:DB8::7", "ip-2001-db8--7.weir.internal"],
])("the address %s goes by a DNS name, %s", (host, name) => {
  const models = [aModel({ versions: [{ name: "v1", address: { host, port: 80 } }] })];
  expect(of("ServiceEntry", rendered({ models }))[0]?.spec["hosts"]).toEqual([name]);
});

test("versions at one address are subsets by their label, others are not", () => {
  const shared = aModel({
    versions: [
      { name: "1.0", address: service("m") },
      { name: "2.0", address: service("m") },
    ],
    default: "1.0",
  });
  const [, rule] = of("DestinationRule", rendered({ models: [shared] }));
  expect(rule?.spec["subsets"]).toEqual([
    { name: "1-0", labels: { version: "1.0" } },
    { name: "2-0", labels: { version: "2.0" } },
  ]);
  expect(valuesOf(of("VirtualService", rendered()), "subset")).toEqual([]);
});

test("each shadow has a cluster of its own, renamed to what extproc calls it", () => {
  const shadows = [{ name: "s", model: "m", version: "v2", unit: "user", share: 100 }];
  const resources = rendered({ shadows });
  expect(valuesOf(of("DestinationRule", resources), "subsets")).toMatchObject([
    [{ name: "shadow-s", trafficPolicy: { connectionPool: { tcp: { maxConnections: 256 } } } }],
  ]);
  const patches = valuesOf(of("EnvoyFilter", resources), "configPatches").flat();
  expect(patches).toContainEqual({
    applyTo: "CLUSTER",
    match: {
      context: "GATEWAY",
      cluster: { name: "outbound|8080|shadow-s|m-v2.others.svc.cluster.local" },
    },
    patch: { operation: "MERGE", value: { name: "weir-shadow/s" } },
  });
  expect(valuesOf(rendered(), "request_mirror_policies")).toEqual([]);
});

test("every route that a VirtualService names is switched on, and no other", () => {
  const resources = rendered();
  const routes = (valuesOf(of("VirtualService", resources), "http") as { name: string }[][]).flat();
  const patched = valuesOf(of("EnvoyFilter", resources), "vhost") as Record<
    "route",
    { name: string }
  >[];
  expect(patched.map(({ route }) => route.name)).toEqual(routes.map(({ name }) => name));
});

test("clients in the mesh get filters and routes in their namespaces, and pods believe them", () => {
  const models = [{ ...MODEL, match: { hosts: ["*", "m.test"], pathPrefix: "/m" } }];
  const resources = rendered({ models }, { clientNamespaces: ["b", "a"] });
  expect(names(of("EnvoyFilter", resources))).toEqual([
    "istio-ingress/weir-p",
    "a/weir-p",
    "b/weir-p",
    "models/weir-m",
    "others/weir-m",
  ]);
  expect(names(of("VirtualService", resources))).toEqual([
    "weir-system/weir-p",
    "weir-system/weir-p.m.test",
    "weir-system/weir-p.m.test-mesh",
  ]);
  expect(valuesOf(resources, "exportTo")).toEqual([["a", "b"]]);
  const sources = valuesOf(of("AuthorizationPolicy", resources), "notNamespaces");
  expect(new Set(sources.map((source) => JSON.stringify(source)))).toEqual(new Set(['["a","b"]']));
});

test("a host of the mesh keeps its other paths", () => {
  const hosts = [service("m-v1").host];
  const models = [{ ...MODEL, match: { hosts, pathPrefix: "/m" } }];
  const resources = of("VirtualService", rendered({ models }, { clientNamespaces: ["a"] }));
  const last = resources.map(({ spec }) => (spec["http"] as { name: string }[]).at(-1)?.name);
  expect(last).toEqual(["weir/m/default", "weir/other-paths"]);
});

test("a model that is not retried says so, as Istio would retry", () => {
  const [virtualService] = of(
    "VirtualService",
    rendered({ models: [{ ...MODEL, retries: { attempts: 0 } }] }),
  );
  expect(
    new Set(valuesOf(virtualService, "retries").map((value) => JSON.stringify(value))),
  ).toEqual(new Set(['{"attempts":0}']));
});

test("extproc that is no Service is refused with the remedy", () => {
  expect(() => rendered({}, { extproc: { host: "127.0.0.1", port: 9002 } })).toThrow(
    /"127.0.0.1" is no Service.*weir-extproc\.weir-system\.svc\.cluster\.local/,
  );
});

test("the parser of kubectl reads what was meant: quotes where YAML 1.1 differs", () => {
  const no = aModel({
    versions: [
      { name: "no", address: service("m") },
      { name: "1", address: service("m") },
    ],
    default: "no",
  });
  const policy = Policy.parse(aPolicyDocument({ models: [no] }));
  const text = writeKubernetesYaml(renderIstio(policy, ISTIO_DEFAULTS));
  expect(text).toContain('version: "no"');
  expect(text).toContain('version: "1"');
  expect(text).toContain('exact: ":method"');
  expect(text).not.toContain("%YAML");
});

test("the same policy always gives the same text", () => {
  const policy = Policy.parse(aPolicyDocument({ models: [MODEL] }));
  const text = () => writeKubernetesYaml(renderIstio(policy, ISTIO_DEFAULTS));
  expect(text()).toBe(text());
});
