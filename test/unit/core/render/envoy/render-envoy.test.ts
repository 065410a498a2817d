import { join } from "node:path";
import { expect, test } from "vitest";
import { writeYaml } from "../../../../../src/adapters/yaml/write-yaml.js";
import { shadowCluster, versionCluster } from "../../../../../src/core/render/envoy/names.js";
import { ENVOY_DEFAULTS, type EnvoyOptions } from "../../../../../src/core/render/envoy/options.js";
import { renderEnvoy } from "../../../../../src/core/render/envoy/render-envoy.js";
import { readPolicy } from "../../../../support/read-policy.js";

const FULL_POLICY = join(import.meta.dirname, "../../../../support/full-policy.yaml");
const { policy, headersRead } = readPolicy(FULL_POLICY);

const rendered = (options: Partial<EnvoyOptions> = {}, changes: Partial<typeof policy> = {}) =>
  renderEnvoy({ ...policy, ...changes }, { ...ENVOY_DEFAULTS, headersRead, ...options });

/** Every value under a key, wherever it stands. */
function valuesOf(tree: unknown, key: string): readonly unknown[] {
  if (Array.isArray(tree)) return tree.flatMap((item) => valuesOf(item, key));
  if (tree === null || typeof tree !== "object") return [];
  return Object.entries(tree).flatMap(([name, value]) => [
    ...(name === key ? [value as unknown] : []),
    ...valuesOf(value, key),
  ]);
}

type Route = { readonly name: string; readonly route?: { readonly cluster: string } };
type VirtualHost = { readonly domains: readonly string[]; readonly routes: readonly Route[] };

function routesOf(host: string, options: Partial<EnvoyOptions> = {}): readonly string[] {
  const hosts = valuesOf(rendered(options).root, "virtual_hosts")[0] as readonly VirtualHost[];
  const found = hosts.find(({ domains }) => domains.includes(host));
  return (found?.routes ?? []).map(({ name }) => name);
}

test("every route leads to a cluster that exists", () => {
  const { root } = rendered({ passthrough: { host: "127.0.0.1", port: 1 } });
  const clusters = valuesOf(root, "clusters")[0] as readonly { readonly name: string }[];
  const names = clusters.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(
    expect.arrayContaining([...valuesOf(valuesOf(root, "virtual_hosts"), "cluster")]),
  );
  expect(names).toContain(versionCluster("ranker", "2.1-beta_x"));
  expect(names).toEqual(expect.arrayContaining(policy.shadows.map(shadowCluster)));
});

test("each host sees its own models and those of wider patterns, longest prefix first", () => {
  const magika = ["magika/v1", "magika/v3", "magika/default"];
  const ranker = ["ranker/1", "ranker/2.1-beta_x", "ranker/default"];
  const catchAll = ["catch-all/v1", "catch-all/default"];
  expect(routesOf("*")).toEqual([...magika, "unknown"]);
  expect(routesOf("*.example.com")).toEqual([...magika, ...catchAll, "unknown"]);
  const all = [...magika, ...ranker, ...catchAll, "unknown"];
  expect(routesOf("ranker.example.com")).toEqual(all);
  expect(routesOf("*.ranker.example.com")).toEqual(all);
});

test("requests for no model get 404, or go where they are told", () => {
  expect(routesOf("*").at(-1)).toBe("unknown");
  expect(routesOf("*", { passthrough: { host: "h", port: 1 } }).at(-1)).toBe("passthrough");
});

test("without shadows nothing is mirrored", () => {
  expect(valuesOf(rendered().root, "request_mirror_policies")).toHaveLength(1);
  expect(valuesOf(rendered({}, { shadows: [] }).root, "request_mirror_policies")).toEqual([]);
});

test.each([
  { name: "an override trusts one", changes: { limits: [] }, asked: true },
  { name: "a limit is keyed by it", changes: { overrides: undefined }, asked: true },
  { name: "nothing reads it", changes: { overrides: undefined, limits: [] }, asked: false },
])("the caller's principal, when $name: asked for = $asked", ({ changes, asked }) => {
  const attributes = valuesOf(rendered({}, changes).root, "request_attributes");
  expect(attributes).toEqual(asked ? [["connection.uri_san_peer_certificate"]] : []);
});

test("extproc gets the headers that the policy reads and no others", () => {
  const [rules] = valuesOf(
    rendered({ headersRead: ["x-b", "x-a", "x-weir-cost"] }).root,
    "patterns",
  );
  expect(rules).toEqual([
    { prefix: "x-weir-" },
    { exact: ":method" },
    { exact: ":path" },
    { exact: ":authority" },
    { exact: "x-request-id" },
    { exact: "traceparent" },
    { exact: "tracestate" },
    { exact: "x-a" },
    { exact: "x-b" },
  ]);
});

test("a header that extproc sets is never kept from a client, even if an expression reads it", () => {
  const kept = writeYaml(rendered({ headersRead: ["x-weir-version", "x-weir-cost"] }));
  expect(kept).toContain("%REQ(x-weir-cost)%");
  expect(kept).not.toContain("%REQ(x-weir-version)%");
});

test("a retry policy says only what the model says", () => {
  const policies = valuesOf(rendered().root, "retry_policy") as readonly Record<string, unknown>[];
  expect(policies).toContainEqual(
    expect.objectContaining({
      retry_on: "connect-failure,refused-stream,unavailable,retriable-status-codes",
      retriable_status_codes: [503],
      num_retries: 2,
      per_try_timeout: "1s",
    }),
  );
  const onReset = policies.find(({ retry_on }) => retry_on === "reset");
  expect(Object.keys(onReset ?? {})).not.toContain("retriable_status_codes");
});

test("failing closed answers 503, failing open allows", () => {
  const open = rendered().root;
  const closed = rendered({ failureMode: "closed" }).root;
  expect(valuesOf(open, "failure_mode_allow")).toEqual([true]);
  expect(valuesOf(open, "status_on_error")).toEqual([]);
  expect(valuesOf(closed, "failure_mode_allow")).toEqual([false]);
  expect(valuesOf(closed, "status_on_error")).toEqual([{ code: "ServiceUnavailable" }]);
});

test("side streams end gracefully only where it is asked for", () => {
  const flag = (options: Parameters<typeof rendered>[0]) =>
    JSON.stringify(rendered(options).root).match(
      /"envoy\.\S*?ext_proc_graceful_grpc_close":(\w+)/,
    )?.[1];
  expect(flag({})).toBe("false");
  expect(flag({ gracefulClose: true })).toBe("true");
});

test("a unix socket beside a DNS name is refused with the remedy", () => {
  const extproc = [
    { kind: "unix", path: "/run/extproc.sock" },
    { kind: "tcp", host: "extproc.example.com", port: 9002 },
  ] as const;
  expect(() => rendered({ extproc })).toThrow(
    /DNS name extproc\.example\.com.*give IP addresses beside unix sockets/,
  );
});

test("the same policy always gives the same text, and every comment finds its place", () => {
  const text = writeYaml(rendered());
  expect(writeYaml(rendered())).toBe(text);
  const words = (comment: string) => comment.replace(/\s+/g, " ");
  const flat = words(text.replace(/\n\s*# /g, " "));
  for (const comment of rendered().comments) expect(flat).toContain(words(comment.text));
});
