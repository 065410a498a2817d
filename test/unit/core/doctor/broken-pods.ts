import { object, soundMesh, within, type Document } from "../../../support/sound-mesh.js";
import { brokenFrom } from "./broken-input.js";

const EXTPROC = "Deployment weir-system/weir-extproc";
const MODEL = "Deployment models/magika-v3";
const GRACEFUL_CLOSE = "envoy.reloadable_features.ext_proc_graceful_grpc_close";

const broken = brokenFrom(soundMesh);

const template = (documents: Document[], title: string) =>
  within(object(documents, title), "spec", "template");
const container = (documents: Document[], title: string) =>
  within(template(documents, title), "spec", "containers", 0);
const remove = (documents: Document[], title: string) => {
  documents.splice(documents.indexOf(object(documents, title)), 1);
};

/** A pod of extproc as a cluster has it. */
function runningPod(documents: Document[], containers: readonly object[]): Document {
  const { labels } = within(template(documents, EXTPROC), "metadata");
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "weir-extproc-1",
      namespace: "weir-system",
      labels,
      ownerReferences: [{ kind: "ReplicaSet", name: "weir-extproc" }],
    },
    spec: { nodeName: "node", containers },
  };
}

const injection = [
  broken("not-injected", "a label says no", (all) => {
    within(template(all, EXTPROC), "metadata", "labels")["sidecar.istio.io/inject"] = "false";
  }),
  broken("not-injected", "pods use the network of their host", (all) => {
    within(template(all, MODEL), "spec")["hostNetwork"] = true;
  }),
  broken("not-injected", "neither the pods nor their namespace ask", (all) => {
    const namespace = all.find(({ kind, metadata }) => {
      return kind === "Namespace" && within(metadata)["name"] === "models";
    });
    delete within(namespace, "metadata")["labels"];
    delete within(template(all, MODEL), "metadata", "labels")["sidecar.istio.io/inject"];
  }),
  broken("not-injected", "an annotation asks, which is not looked at", (all) => {
    all.splice(0, all.length, ...all.filter(({ kind }) => kind !== "Namespace"));
    const metadata = within(template(all, EXTPROC), "metadata");
    delete within(metadata, "labels")["sidecar.istio.io/inject"];
    within(metadata, "annotations")["sidecar.istio.io/inject"] = "true";
  }),
  broken("not-injected", "extproc in ambient mode", (all) => {
    within(template(all, EXTPROC), "metadata", "labels")["istio.io/dataplane-mode"] = "ambient";
  }),
  broken("not-injected", "a pod runs without, whatever was asked", (all) => {
    all.push(runningPod(all, [{ name: "weir" }]));
  }),
];

export const BROKEN_PODS = [
  ...injection,
  broken("subset-without-pods", "no pods have the label", (all) => {
    const rule = object(all, "DestinationRule models/weir-magika-v3");
    within(rule, "spec")["subsets"] = [{ name: "v9", labels: { version: "v9" } }];
  }),
  broken("one-replica", "the autoscaler goes down to one", (all) => {
    within(object(all, "HorizontalPodAutoscaler weir-system/weir-extproc"), "spec")["minReplicas"] =
      1;
  }),
  broken("one-replica", "the default of a Deployment", (all) => {
    remove(all, "HorizontalPodAutoscaler weir-system/weir-extproc");
  }),
  broken("no-disruption-budget", "there is none", (all) => {
    remove(all, "PodDisruptionBudget weir-system/weir-extproc");
  }),
  broken("no-readiness-probe", "of extproc", (all) => {
    delete container(all, EXTPROC)["readinessProbe"];
  }),
  broken("no-readiness-probe", "of a model", (all) => {
    delete container(all, MODEL)["readinessProbe"];
  }),
  broken("grace-too-short", "by the environment", (all) => {
    within(container(all, EXTPROC), "env", { name: "WEIR_DRAIN_MS" })["value"] = "20000";
  }),
  broken("grace-too-short", "by flags", (all) => {
    container(all, EXTPROC)["args"] = ["extproc", "--drain-ms=15000", "--finish-ms", "15000"];
  }),
  broken("grace-too-short", "of a model", (all) => {
    within(template(all, MODEL), "spec")["terminationGracePeriodSeconds"] = 3;
  }),
  broken("graceful-close-crash", "on the proxy of Istio 1.29", (all) => {
    const annotations = within(template(all, EXTPROC), "metadata", "annotations");
    annotations["proxy.istio.io/config"] = JSON.stringify({
      runtimeValues: { [GRACEFUL_CLOSE]: "true" },
    });
    const proxy = { name: "istio-proxy", image: "docker.io/istio/proxyv2:1.29.2" };
    within(template(all, EXTPROC), "spec")["initContainers"] = [proxy];
  }),
];
