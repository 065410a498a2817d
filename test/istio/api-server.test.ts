import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/envoy-process.js";
import { startApiServer, type ApiServer } from "../support/istio/api-server.js";
import { CHART, templateChart, VALUE_SETS } from "../support/istio/chart.js";
import { istioctlOf } from "../support/istio/istioctl.js";
import { istioTools, type IstioTools } from "../support/istio/istio-tools.js";
import { writeSchemas } from "../support/istio/json-schemas.js";
import type { KubeObject } from "../support/istio/kube-stub.js";
import { objectsIn } from "../support/istio/manifests.js";
import { namespaceObject } from "../support/istio/workload.js";

const ISTIO = join(import.meta.dirname, "../../istio");
const NAMESPACES = ["istio-system", "istio-ingress", "weir-system", "models", "apps"];

let tools: IstioTools;
let folder: string;
let api: ApiServer;
let schemas: string;
beforeAll(async () => {
  tools = await istioTools();
  folder = await mkdtemp(join(tmpdir(), "weir-api-server-"));
  api = await startApiServer(tools, join(folder, "kubernetes"));
  const generated = objectsIn((await istioctlOf(tools)("manifest", "generate")).stdout);
  const podMonitors = objectsIn(await readFile(tools.podMonitorCrd, "utf8"));
  const definitions = [...generated, ...podMonitors].filter(
    ({ kind }) => kind === "CustomResourceDefinition",
  );
  for (const definition of definitions) await api.apply(definition);
  for (const name of NAMESPACES) {
    await api.apply(namespaceObject(name));
  }
  // The API server publishes new kinds some time after it has taken them.
  schemas = await eventually(
    "the schemas of all kinds",
    async () => {
      const location = await writeSchemas(api, join(folder, "schemas"));
      const written = await readdir(join(folder, "schemas"));
      const names = definitions.map(({ spec }) => kindOf(spec as CrdSpec));
      return names.every((name) => written.some((file) => file.startsWith(name)))
        ? location
        : undefined;
    },
    60_000,
  );
});
type CrdSpec = { readonly group: string; readonly names: { readonly kind: string } };
const kindOf = ({ group, names }: CrdSpec) => `${names.kind.toLowerCase()}_${group}_`;
afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true, force: true });
});

const chart = (values: string) => templateChart(tools, "weir-system", "-f", join(CHART, values));

/** What kubeconform has against a file, with unknown fields refused. */
async function nonconformity(text: string): Promise<string> {
  const file = join(folder, "conform.yaml");
  await writeFile(file, text);
  const args = ["-strict", "-summary", "-schema-location", schemas, file];
  return promisify(execFile)(tools.kubeconform, args).then(
    ({ stdout }) => (/Invalid: 0, Errors: 0, Skipped: 0/.test(stdout) ? "" : stdout),
    (error: unknown) => (error as { readonly stdout: string }).stdout,
  );
}

const examples = ["ab-test", "mesh-clients", "shadow-and-limits"];
const bases = ["extproc", "models"];
const sources: readonly (readonly [string, () => Promise<string>])[] = [
  ...examples.map((name) => {
    return [`istio/${name}.yaml`, () => readFile(join(ISTIO, `${name}.yaml`), "utf8")] as const;
  }),
  ...bases.map((name) => {
    const file = join(ISTIO, "base", name, `${name}.yaml`);
    return [`istio/base/${name}`, () => readFile(file, "utf8")] as const;
  }),
  ...VALUE_SETS.map((name) => [`the chart with ${name}`, () => chart(name)] as const),
];

describe.each(sources)("%s", (_name, read) => {
  test("conforms to the schemas of the API server, strictly", async () => {
    expect(await nonconformity(await read())).toBe("");
  });

  test("is accepted by the API server", async () => {
    const objects = objectsIn(await read());
    expect(objects.length).toBeGreaterThan(0);
    for (const object of objects) {
      await api.apply(withNamespace(object), { dryRun: true });
    }
  });
});

/** As `kubectl apply -n weir-system` would. */
function withNamespace(object: KubeObject): KubeObject {
  return { ...object, metadata: { namespace: "weir-system", ...object.metadata } };
}

test.each([
  ["a field that Kubernetes does not know", { replicass: 2 }, /field not declared in schema/],
  ["a value of another type", { replicas: "many" }, /expected numeric/],
])("the gates notice %s", async (_name, change, message) => {
  const deployment = objectsIn(await chart("values.yaml")).find(
    ({ kind }) => kind === "Deployment",
  );
  const broken = { ...deployment!, spec: { ...(deployment!["spec"] as object), ...change } };
  expect(await nonconformity(JSON.stringify(broken))).toContain("Invalid: 1");
  await expect(api.apply(broken, { dryRun: true })).rejects.toThrow(message);
});
