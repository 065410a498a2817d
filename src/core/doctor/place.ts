import type { Node } from "./node.js";

/**
 * A path as an operator would say it: items of lists go by their names where they have one, as in
 * `spec.http[weir/ranker/v1].retries`.
 */
export function placeText(document: unknown, path: Node["path"]): string {
  let value = document;
  let said = "";
  for (const step of path) {
    const holder: object = typeof value === "object" && value !== null ? value : {};
    const inner: unknown = Reflect.get(holder, step);
    said += Array.isArray(value) ? `[${nameOf(inner) ?? step}]` : `.${step}`;
    value = inner;
  }
  return said.replace(/^\./, "");
}

/** Names of a Kubernetes object, of Envoy's messages, and of the parts of a configuration dump. */
function nameOf(item: unknown): string | undefined {
  if (typeof item !== "object" || item === null) return undefined;
  const {
    name,
    metadata,
    listener,
    cluster,
    "@type": type,
  } = item as Readonly<Record<string, unknown>>;
  const own = typeof name === "string" && name !== "" ? name : undefined;
  const part = typeof type === "string" ? /([A-Za-z]+)ConfigDump$/.exec(type)?.[0] : undefined;
  return own ?? part ?? nameOf(metadata) ?? nameOf(listener) ?? nameOf(cluster);
}

/** `EnvoyFilter istio-ingress/weir-files` for what a Kubernetes object holds. */
export function objectText(document: unknown, path: Node["path"]): string | undefined {
  const objects = [
    document,
    ...path.map((_, index) => valueAt(document, path.slice(0, index + 1))),
  ];
  return objects.map(titleOf).findLast((title) => title !== undefined);
}

function valueAt(document: unknown, path: Node["path"]): unknown {
  return path.reduce<unknown>(
    (value, step) =>
      typeof value === "object" && value !== null
        ? (Reflect.get(value, step) as unknown)
        : undefined,
    document,
  );
}

function titleOf(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { kind, metadata } = value as { readonly kind?: unknown; readonly metadata?: unknown };
  if (typeof kind !== "string" || typeof metadata !== "object" || metadata === null)
    return undefined;
  const { name, namespace } = metadata as { readonly name?: unknown; readonly namespace?: unknown };
  if (typeof name !== "string") return undefined;
  return typeof namespace === "string" ? `${kind} ${namespace}/${name}` : `${kind} ${name}`;
}
