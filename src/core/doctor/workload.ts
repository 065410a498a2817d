import { child, isThere, items, mentions, text, texts, type Node } from "./node.js";
import { labels, type Labels, type Resource } from "./resource.js";

/** Something that runs pods: a Deployment and the like, or a pod that nothing else runs. */
export type Workload = {
  readonly resource: Resource;
  readonly podLabels: Labels;
  readonly podMetadata: Node;
  readonly podSpec: Node;
  /** What Weir's programs its containers run, if any. */
  readonly runs: readonly WeirContainer[];
};

export type WeirContainer = { readonly node: Node; readonly program: "extproc" | "serve" };

const TEMPLATED = new Set(["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout"]);

export function workloads(resources: readonly Resource[]): readonly Workload[] {
  return resources.flatMap((resource) => {
    const { node, kind, spec } = resource;
    const isOwned = isThere(child(node, "metadata", "ownerReferences"));
    if (TEMPLATED.has(kind) && !isOwned) {
      const template = child(spec, "template");
      return [workloadOf(resource, child(template, "metadata"), child(template, "spec"))];
    }
    return kind === "Pod" && !isOwned ? [workloadOf(resource, child(node, "metadata"), spec)] : [];
  });
}

function workloadOf(resource: Resource, podMetadata: Node, podSpec: Node): Workload {
  return {
    resource,
    podMetadata,
    podSpec,
    podLabels: labels(child(podMetadata, "labels")),
    runs: items(child(podSpec, "containers")).flatMap((node) => {
      const words = [...texts(child(node, "command")), ...texts(child(node, "args"))];
      const program = (["extproc", "serve"] as const).find((name) => words.includes(name));
      return program !== undefined && mentions(node, "weir") ? [{ node, program }] : [];
    }),
  };
}

export function annotation({ podMetadata }: Workload, name: string): string | undefined {
  return text(child(podMetadata, "annotations", name));
}
