import { child, entries, items, text, type Node } from "./node.js";

/** One Kubernetes object. */
export type Resource = {
  readonly node: Node;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  readonly spec: Node;
};

/** The objects of a document: itself, or the items of the list that `kubectl get` writes. */
export function resourcesIn(document: Node): readonly Resource[] {
  const kind = text(child(document, "kind"));
  if (kind === undefined || text(child(document, "apiVersion")) === undefined) return [];
  if (kind.endsWith("List")) return items(child(document, "items")).flatMap(resourcesIn);
  const metadata = child(document, "metadata");
  return [
    {
      node: document,
      kind,
      name: text(child(metadata, "name")) ?? "",
      namespace: text(child(metadata, "namespace")) ?? "default",
      spec: child(document, "spec"),
    },
  ];
}

export type Labels = Readonly<Record<string, string>>;

export function labels(node: Node): Labels {
  return Object.fromEntries(entries(node).map(([key, value]) => [key, text(value) ?? ""]));
}

/** Whether a selector without expressions takes pods with these labels; an empty one takes all. */
export function selects(selector: Labels, pods: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => pods[key] === value);
}

/**
 * Name and namespace of the Service that a host stands for; undefined for hosts of outside. A name
 * without a dot is one of the namespace that holds the reference.
 */
export function serviceOf(
  host: string,
  from: string,
): { readonly name: string; readonly namespace: string } | undefined {
  const [, name, namespace] = /^([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.|$)/.exec(host) ?? [];
  if (name !== undefined && namespace !== undefined) return { name, namespace };
  return /^[a-z0-9-]+$/.test(host) ? { name: host, namespace: from } : undefined;
}
