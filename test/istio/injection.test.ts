import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/envoy-process.js";
import { startApiServer, type ApiServer } from "../support/istio/api-server.js";
import { templateChart } from "../support/istio/chart.js";
import { startIstiod, type Istiod } from "../support/istio/control-plane.js";
import { istioctlOf, type Istioctl } from "../support/istio/istioctl.js";
import { istioTools } from "../support/istio/istio-tools.js";
import type { KubeObject } from "../support/istio/kube-stub.js";
import { objectsIn } from "../support/istio/manifests.js";
import { namespaceObject } from "../support/istio/workload.js";
import { weir } from "../support/weir-command.js";

const ISTIO = join(import.meta.dirname, "../../istio");

let folder: string;
let istioctl: Istioctl;
let api: ApiServer;
let istiod: Istiod;
let chart: readonly KubeObject[];
beforeAll(async () => {
  const tools = await istioTools();
  istioctl = istioctlOf(tools);
  folder = await mkdtemp(join(tmpdir(), "weir-injection-"));
  api = await startApiServer(tools, join(folder, "kubernetes"));
  const generated = objectsIn((await istioctl("manifest", "generate")).stdout);
  for (const object of generated.filter(({ kind }) => kind === "CustomResourceDefinition")) {
    await api.apply(object);
  }
  await namespace("istio-system");
  for (const object of generated.filter(({ kind }) => kind === "ConfigMap")) {
    await api.apply(object);
  }
  istiod = await startIstiod(tools, folder, {
    flags: ["--kubeconfig", api.kubeconfig],
    env: {
      ...{ INJECTION_WEBHOOK_CONFIG_NAME: "istio-sidecar-injector" },
      ...{ VALIDATION_WEBHOOK_CONFIG_NAME: "istio-validator-istio-system", REVISION: "default" },
    },
  });
  for (const object of generated.filter(({ kind }) => kind.endsWith("WebhookConfiguration"))) {
    await api.apply(reachable(object));
  }
  chart = objectsIn(await templateChart(tools, "weir-system"));
});
afterAll(async () => {
  await istiod.stop();
  await api.stop();
  await rm(folder, { recursive: true, force: true });
});

type Webhook = {
  readonly name: string;
  readonly clientConfig: { readonly service?: { readonly path?: string } };
};

/** No cluster routes a Service to istiod here, so the API server is given its address. */
function reachable(configuration: KubeObject): KubeObject {
  const webhooks = (configuration["webhooks"] as readonly Webhook[]).map((webhook) => {
    const path = webhook.clientConfig.service?.path;
    if (path === undefined) return webhook;
    return { ...webhook, clientConfig: { url: `https://127.0.0.1:${istiod.webhooks}${path}` } };
  });
  return { ...configuration, webhooks };
}

const namespace = (name: string, labels: Readonly<Record<string, string>> = {}) =>
  api.apply(namespaceObject(name, labels));

type Probe = { readonly httpGet: { readonly path: string; readonly port: unknown } };
type Container = {
  readonly name: string;
  readonly restartPolicy?: string;
  readonly lifecycle?: unknown;
  readonly readinessProbe?: Probe;
};
type Pod = KubeObject & {
  readonly spec: {
    readonly initContainers?: readonly Container[];
    readonly containers: readonly Container[];
  };
};
type Template = { readonly metadata: KubeObject["metadata"]; readonly spec: object };

/** The pod that the chart's Deployment would make in a namespace. */
async function podOfTheChart(
  at: string,
  changed: { readonly labels?: object; readonly annotations?: object } = {},
  options = { dryRun: true },
): Promise<Pod> {
  const deployment = chart.find(({ kind }) => kind === "Deployment")!;
  const { metadata, spec } = (deployment["spec"] as { readonly template: Template }).template;
  const labels = { ...(metadata["labels"] as object), ...changed.labels };
  const annotations = { ...(metadata["annotations"] as object), ...changed.annotations };
  const named = { name: "weir-extproc-0", namespace: at };
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { ...named, labels, annotations }, spec };
  return (await api.apply(pod, options)) as Pod;
}

/** So that nothing but a label of the namespace can have it injected. */
const NO_LABEL = { labels: { "sidecar.istio.io/inject": undefined } };

const containersOf = ({ spec }: Pod) => ({
  init: (spec.initContainers ?? []).map(({ name }) => name),
  main: spec.containers.map(({ name }) => name),
});
const proxyOf = ({ spec }: Pod) =>
  [...(spec.initContainers ?? []), ...spec.containers].find(({ name }) => name === "istio-proxy");

describe("istiod injects the chart's pods", () => {
  test.each([
    ["in a namespace that asks for it", "by-namespace", { "istio-injection": "enabled" }, NO_LABEL],
    ["in a namespace of a revision", "by-revision", { "istio.io/rev": "default" }, NO_LABEL],
    ["by their own label, in any namespace", "by-pod", {}, {}],
  ])("%s, as a native sidecar that is ready before them", async (_how, name, labels, changed) => {
    await namespace(name, labels);
    const pod = await injected(() => podOfTheChart(name, changed));
    expect(containersOf(pod)).toEqual({ init: ["istio-init", "istio-proxy"], main: ["weir"] });
    // Kubernetes starts what comes after a sidecar when the sidecar's startup probe has passed.
    expect(proxyOf(pod)).toMatchObject({
      restartPolicy: "Always",
      startupProbe: { httpGet: { path: "/healthz/ready" } },
    });
    expect(pod.spec.containers[0]).toMatchObject({
      readinessProbe: { httpGet: { path: "/app-health/weir/readyz", port: 15020 } },
      livenessProbe: { httpGet: { path: "/app-health/weir/livez", port: 15020 } },
      startupProbe: { httpGet: { path: "/app-health/weir/startupz", port: 15020 } },
    });
  });

  test("without native sidecars the program is held until the proxy has started", async () => {
    await namespace("classic", { "istio-injection": "enabled" });
    const annotations = { "sidecar.istio.io/nativeSidecar": "false" };
    const pod = await podOfTheChart("classic", { annotations });
    expect(containersOf(pod)).toEqual({ init: ["istio-init"], main: ["istio-proxy", "weir"] });
    expect(proxyOf(pod)?.lifecycle).toMatchObject({
      postStart: { exec: { command: ["pilot-agent", "wait"] } },
    });
  });

  test("by a revision tag", async () => {
    const tag = ["tag", "generate", "prod", "--revision", "default"];
    const { code, stdout, stderr } = await istioctl(...tag, "--kubeconfig", api.kubeconfig);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const webhooks = objectsIn(stdout).filter(({ kind }) => kind.endsWith("WebhookConfiguration"));
    expect(webhooks.length).toBeGreaterThan(0);
    for (const object of webhooks) await api.apply(reachable(object));
    await namespace("by-tag", { "istio.io/rev": "prod" });
    const pod = await injected(() => podOfTheChart("by-tag", NO_LABEL));
    expect(containersOf(pod).init).toContain("istio-proxy");
  });

  test("and leaves those alone that nothing asks for", async () => {
    await namespace("by-nothing");
    const pod = await podOfTheChart("by-nothing", NO_LABEL);
    expect(containersOf(pod)).toEqual({ init: [], main: ["weir"] });
  });
});

/** A webhook takes effect some time after the API server has taken it. */
function injected(create: () => Promise<Pod>): Promise<Pod> {
  return eventually("an injected pod", async () => {
    const pod = await create();
    return proxyOf(pod) === undefined ? undefined : pod;
  });
}

test("istiod's webhook refuses a VirtualService that no proxy could follow", async () => {
  await namespace("weir-system");
  const rendered = objectsIn(await readFile(join(ISTIO, "shadow-and-limits.yaml"), "utf8"));
  const virtualService = rendered.find(({ kind }) => kind === "VirtualService")!;
  const labels = { "istio.io/rev": "default" };
  const metadata = { ...virtualService.metadata, labels };
  const spec = virtualService["spec"] as { readonly http: readonly object[] };
  const [first, ...others] = spec.http;
  const broken = { ...spec, http: [{ ...first, mirrorPercentage: { value: 300 } }, ...others] };
  await eventually("the refusal", () =>
    api.apply({ ...virtualService, metadata, spec: broken }, { dryRun: true }).then(
      () => undefined,
      (error: unknown) => {
        expect(String(error)).toContain("admission webhook");
        expect(String(error)).toContain("mirror");
        return true;
      },
    ),
  );
  await api.apply({ ...virtualService, metadata, spec }, { dryRun: true });
});

describe("weir doctor in that cluster", () => {
  const examine = async () => {
    const { stdout, stderr } = await weir(["doctor", "--json", "--kubeconfig", api.kubeconfig]);
    expect(stderr).toBe("");
    return JSON.parse(stdout) as readonly { readonly id: string; readonly object?: string }[];
  };

  test("has nothing against what we render and the chart, and names a pod that is not injected", async () => {
    for (const name of ["weir-system", "models", "istio-ingress"]) await namespace(name);
    const rendered = objectsIn(await readFile(join(ISTIO, "shadow-and-limits.yaml"), "utf8"));
    const models = objectsIn(await readFile(join(ISTIO, "base/models/models.yaml"), "utf8"));
    for (const object of [...rendered, ...chart]) await api.apply(object);
    for (const object of models) {
      await api.apply({ ...object, metadata: { namespace: "models", ...object.metadata } });
    }
    expect(await examine()).toEqual([]);
    const labels = { "sidecar.istio.io/inject": "false" };
    const { metadata } = await podOfTheChart("weir-system", { labels }, { dryRun: false });
    const found = await examine();
    expect(found).toContainEqual(
      expect.objectContaining({ object: `Pod weir-system/${metadata.name}`, id: "not-injected" }),
    );
  });
});
