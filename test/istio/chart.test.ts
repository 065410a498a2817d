import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { CHART, lintChart, templateChart, VALUE_SETS } from "../support/istio/chart.js";
import { analysisOf, istioctlOf, type Istioctl } from "../support/istio/istioctl.js";
import { istioTools, type IstioTools } from "../support/istio/istio-tools.js";

const ISTIO = join(import.meta.dirname, "../../istio");

let tools: IstioTools;
let istioctl: Istioctl;
let folder: string;
beforeAll(async () => {
  tools = await istioTools();
  istioctl = istioctlOf(tools);
  folder = await mkdtemp(join(tmpdir(), "weir-chart-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const template = (namespace: string, ...args: readonly string[]) =>
  templateChart(tools, namespace, ...args);

type Container = { readonly name: string; readonly [key: string]: unknown };
type Manifest = {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly initContainers: readonly Container[];
        readonly containers: readonly Container[];
      };
    };
  };
};
const manifests = (text: string): readonly Manifest[] =>
  parseAllDocuments(text).map((document) => document.toJS() as Manifest);

describe.each(VALUE_SETS)("the chart with %s", (values) => {
  const file = join(CHART, values);

  test("passes helm lint and istioctl analyze", async () => {
    const lint = await lintChart(tools, file);
    expect(lint).toContain("0 chart(s) failed");
    const rendered = join(folder, "chart.yaml");
    await writeFile(rendered, await template("weir-system", "-f", file));
    expect(await analysisOf(istioctl, [rendered])).toBeNull();
  });

  test("never has fewer ready pods during a rollout", async () => {
    const deployments = manifests(await template("weir-system", "-f", file)).filter(
      ({ kind }) => kind === "Deployment",
    );
    expect(deployments.length).toBeGreaterThan(0);
    for (const { spec } of deployments) {
      expect(spec).toMatchObject({ strategy: { rollingUpdate: { maxUnavailable: 0 } } });
      expect(spec.template.spec.containers[0]).toHaveProperty("readinessProbe");
    }
  });
});

test("no other value sets are there", async () => {
  const found = (await readdir(join(CHART, "ci"))).map((name) => `ci/${name}`);
  expect(["values.yaml", ...found].sort()).toEqual([...VALUE_SETS].sort());
});

test.each([
  ["extproc.replica=2", /additional properties 'replica' not allowed/],
  ["extproc.autoscaling.cpuPercent=200", /extproc\/autoscaling\/cpuPercent.*100/],
  ["inference[0].model=magika", /inference\/0.*missing propert.*version/],
  ["metrics.scrape=sometimes", /metrics\/scrape.*annotations/],
])("a mistake in the values is refused with its place: %s", async (setting, message) => {
  await expect(template("weir-system", "--set", setting)).rejects.toThrow(message);
});

test("keys for overrides without their Secret are refused with the remedy", async () => {
  await expect(template("weir-system", "--set", "extproc.overrideKeys={qa}")).rejects.toThrow(
    /extproc\.overrideKeysSecret: name the Secret/,
  );
});

test("Istio injects its sidecar, and takes over the probes", async () => {
  const generated = manifests((await istioctl("manifest", "generate")).stdout);
  const config = (name: string, key: string) =>
    generated.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === name)?.data?.[
      key
    ] ?? "";
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };
  const { stdout: injected } = await istioctl(
    // Without a revision it looks for a cluster, for ever.
    ...["kube-inject", "--revision", "default"],
    ...["--filename", await file("plain.yaml", await template("weir-system"))],
    ...["--injectConfigFile", await file("config", config("istio-sidecar-injector", "config"))],
    ...["--valuesFile", await file("values", config("istio-sidecar-injector", "values"))],
    ...["--meshConfigFile", await file("mesh", config("istio", "mesh"))],
  );
  const deployment = manifests(injected).find(({ kind }) => kind === "Deployment");
  const { initContainers, containers } = deployment!.spec.template.spec;
  const all = [...initContainers, ...containers];
  expect(all.map(({ name }) => name)).toContain("istio-proxy");
  expect(all.find(({ name }) => name === "weir")).toMatchObject({
    readinessProbe: { httpGet: { path: "/app-health/weir/readyz", port: 15020 } },
    livenessProbe: { httpGet: { path: "/app-health/weir/livez", port: 15020 } },
  });
});

test.each([
  { base: "extproc", namespace: "weir-system", values: "values.yaml" },
  { base: "models", namespace: "models", values: "ci/models.yaml" },
])("istio/base/$base is the chart with $values (-- --update)", async ({ base, ...chart }) => {
  const text = await template(chart.namespace, "-f", join(CHART, chart.values));
  const plain = text.replace(/^ *(helm\.sh\/chart|app\.kubernetes\.io\/managed-by): .*\n/gm, "");
  await expect(plain).toMatchFileSnapshot(join(ISTIO, "base", base, `${base}.yaml`));
});
