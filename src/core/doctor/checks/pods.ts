import type { Check, Suspect } from "../check.js";
import type { Mesh } from "../mesh.js";
import { child, isThere, isTrue, items, number, text, texts, type Node } from "../node.js";
import { labels, selects, type Labels, type Resource } from "../resource.js";
import { destinationRules, targets, workloadsOf } from "../services.js";
import { annotation, workloads, type Workload } from "../workload.js";

/** What runs a program of Weir, or stands behind a Service that Weir sends requests to. */
function weirsWorkloads(mesh: Mesh): readonly Workload[] {
  const behind = new Set(
    targets(mesh).flatMap((target) =>
      (workloadsOf(mesh, target) ?? []).map(({ resource }) => resource.node),
    ),
  );
  return workloads(mesh.resources).filter(
    ({ runs, resource }) => runs.length > 0 || behind.has(resource.node),
  );
}

const extprocs = (mesh: Mesh) =>
  workloads(mesh.resources).filter(({ runs }) => runs.some(({ program }) => program === "extproc"));

const injection: Check = {
  id: "not-injected",
  severity: "error",
  looksFor: "pods of extproc or a model that get no sidecar",
  why: "They have no identity of the mesh: with strict mTLS nobody reaches them, and without it nobody is kept out.",
  fix: 'Label the pods sidecar.istio.io/inject: "true", or the namespace istio-injection: enabled or istio.io/rev: TAG; an annotation is not enough, and hostNetwork rules it out.',
  find: (mesh) =>
    weirsWorkloads(mesh).flatMap((workload) => {
      const why = lackOfSidecar(workload, mesh.resources);
      return why === undefined ? [] : [why];
    }),
};

const INJECT = "sidecar.istio.io/inject";
const AMBIENT = "istio.io/dataplane-mode";

/**
 * Pods in ambient mode have their identity without a sidecar. But for ztunnel a rule with a path
 * matches nobody, and extproc's AuthorizationPolicy allows one path.
 */
function inAmbient({ podMetadata, runs }: Workload): Suspect | undefined {
  return runs.some(({ program }) => program === "extproc")
    ? {
        at: podMetadata,
        what: "extproc is in ambient mode, where its AuthorizationPolicy allows nobody",
      }
    : undefined;
}

function lackOfSidecar(workload: Workload, resources: readonly Resource[]): Suspect | undefined {
  const { podLabels, podMetadata, podSpec, resource } = workload;
  const asked = namespaceLabels(resource.namespace, resources);
  if ((podLabels[AMBIENT] ?? asked?.[AMBIENT]) === "ambient") return inAmbient(workload);
  const running = podsOf(workload, resources);
  if (running.length > 0) {
    const bare = running.find((pod) => !hasProxy(pod.spec));
    return bare && { at: bare.node, what: `pod ${bare.name} runs without a sidecar` };
  }
  const hostNetwork = child(podSpec, "hostNetwork");
  if (isTrue(hostNetwork)) return { at: hostNetwork, what: "pods use the network of their host" };
  const label = child(podMetadata, "labels", INJECT);
  if (text(label) === "false") return { at: label, what: "pods ask not to be injected" };
  if (isThere(label) || podLabels["istio.io/rev"] !== undefined) return undefined;
  const isAsked = asked?.["istio-injection"] === "enabled" || asked?.["istio.io/rev"] !== undefined;
  if (isAsked || (asked === undefined && annotation(workload, INJECT) === undefined)) {
    return undefined;
  }
  return { at: podMetadata, what: `nothing asks for a sidecar, nor does ${resource.namespace}` };
}

/** Undefined when the input does not hold the namespace. */
function namespaceLabels(wanted: string, resources: readonly Resource[]): Labels | undefined {
  const found = resources.find(({ kind, name }) => kind === "Namespace" && name === wanted);
  return found && labels(child(found.node, "metadata", "labels"));
}

/** Pods of a live cluster; a template in a file has none. */
function podsOf({ podLabels, resource }: Workload, resources: readonly Resource[]) {
  return resources.filter(
    ({ kind, namespace, node }) =>
      kind === "Pod" &&
      namespace === resource.namespace &&
      isThere(child(node, "spec", "nodeName")) &&
      selects(podLabels, labels(child(node, "metadata", "labels"))),
  );
}

function hasProxy(podSpec: Node): boolean {
  return [...items(child(podSpec, "containers")), ...items(child(podSpec, "initContainers"))].some(
    (one) => text(child(one, "name")) === "istio-proxy",
  );
}

const subsets: Check = {
  id: "subset-without-pods",
  severity: "error",
  looksFor: "a subset of a DestinationRule whose labels no pods of the Service have",
  why: "Requests that are routed to it get 503.",
  fix: "Label the pods of each version, such as version: v3, in the template of their Deployment.",
  find: (mesh) =>
    targets(mesh).flatMap((target) => {
      const pods = workloadsOf(mesh, target);
      if (pods === undefined) return [];
      return destinationRules(mesh, target)
        .flatMap(({ spec }) => items(child(spec, "subsets")))
        .filter((subset) => {
          const wanted = labels(child(subset, "labels"));
          return !pods.some(({ podLabels }) => selects(wanted, podLabels));
        })
        .map((subset) => ({
          at: subset,
          what: `no pods of ${target.name} have the labels of subset ${text(child(subset, "name")) ?? ""}`,
        }));
    }),
};

const replicas: Check = {
  id: "one-replica",
  severity: "warning",
  looksFor: "extproc with fewer than two replicas",
  why: "While it restarts, or its node does, requests go undecided, and callers lose their arms.",
  fix: "Run two or more: they share nothing but the policy, and decide alike.",
  find: (mesh) =>
    extprocs(mesh).flatMap(({ resource }): readonly Suspect[] => {
      const scaler = mesh.resources.find(
        ({ kind, namespace, spec }) =>
          kind === "HorizontalPodAutoscaler" &&
          namespace === resource.namespace &&
          text(child(spec, "scaleTargetRef", "name")) === resource.name,
      );
      const count =
        scaler === undefined ? child(resource.spec, "replicas") : child(scaler.spec, "minReplicas");
      return (number(count) ?? 1) >= 2 ? [] : [{ at: count, what: `${number(count) ?? 1} runs` }];
    }),
};

const disruption: Check = {
  id: "no-disruption-budget",
  severity: "warning",
  looksFor: "extproc without a PodDisruptionBudget",
  why: "A drain of nodes may stop all replicas at once.",
  fix: "Add a PodDisruptionBudget with maxUnavailable: 1 that selects its pods.",
  find: (mesh) =>
    extprocs(mesh)
      .filter(({ resource, podLabels }) => !isProtected(mesh.resources, resource, podLabels))
      .map(({ resource }) => ({ at: resource.node, what: `nothing protects ${resource.name}` })),
};

function isProtected(all: readonly Resource[], { namespace }: Resource, pods: Labels): boolean {
  return all.some(
    (one) =>
      one.kind === "PodDisruptionBudget" &&
      one.namespace === namespace &&
      selects(labels(child(one.spec, "selector", "matchLabels")), pods),
  );
}

const readiness: Check = {
  id: "no-readiness-probe",
  severity: "error",
  looksFor: "a container of extproc or `weir serve` without a readiness probe",
  why: "It gets requests before it has loaded its policy or model, and after it has begun to stop.",
  fix: "Probe /readyz on the admin port.",
  find: (mesh) =>
    workloads(mesh.resources).flatMap(({ runs }) =>
      runs
        .filter(({ node }) => !isThere(child(node, "readinessProbe")))
        .map(({ node, program }) => ({
          at: node,
          what: `nobody asks whether ${program} is ready`,
        })),
    ),
};

/** How long each program takes to stop, by its flags and their defaults. */
const STOP_MS = {
  extproc: { drain: 5000, finish: 5000 },
  serve: { drain: 3000, finish: 0 },
} as const;
const DEFAULT_GRACE_SECONDS = 30;

const grace: Check = {
  id: "grace-too-short",
  severity: "error",
  looksFor: "`terminationGracePeriodSeconds` that end before the program has drained",
  why: "It is killed with requests under way, at every rollout.",
  fix: "Give it more than --drain-ms and --finish-ms together.",
  find: (mesh) =>
    workloads(mesh.resources).flatMap(({ runs, podSpec }) => {
      const period = child(podSpec, "terminationGracePeriodSeconds");
      const graceMs = (number(period) ?? DEFAULT_GRACE_SECONDS) * 1000;
      return runs.flatMap(({ node, program }): readonly Suspect[] => {
        const { drain, finish } = STOP_MS[program];
        const stopMs = setting(node, "drain-ms", drain) + setting(node, "finish-ms", finish);
        return graceMs > stopMs
          ? []
          : [
              {
                at: period,
                what: `${program} takes up to ${stopMs} ms to stop, and has ${graceMs}`,
              },
            ];
      });
    }),
};

/** A flag of the container, or its environment variable. */
function setting(container: Node, flag: string, fallback: number): number {
  const words = [...texts(child(container, "command")), ...texts(child(container, "args"))];
  const joined = words.find((word) => word.startsWith(`--${flag}=`))?.split("=")[1];
  const separate = words.indexOf(`--${flag}`);
  const variable = `WEIR_${flag.toUpperCase().replaceAll("-", "_")}`;
  const environment = items(child(container, "env")).find(
    (one) => text(child(one, "name")) === variable,
  );
  const given =
    joined ??
    (separate < 0 ? undefined : words[separate + 1]) ??
    (environment && text(child(environment, "value")));
  const value = Number(given ?? fallback);
  return Number.isFinite(value) ? value : fallback;
}

export const podsChecks: readonly Check[] = [
  injection,
  subsets,
  replicas,
  disruption,
  readiness,
  grace,
];
