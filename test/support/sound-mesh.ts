import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { parseAllDocuments } from "yaml";
import { ENVOY_DEFAULTS } from "../../src/core/render/envoy/options.js";
import { renderEnvoy } from "../../src/core/render/envoy/render-envoy.js";
import { ISTIO_DEFAULTS } from "../../src/core/render/istio/options.js";
import { renderIstio } from "../../src/core/render/istio/render-istio.js";
import { aPolicy, aPolicyDocument, type PolicyInput } from "./policy-builder.js";

const POLICY: PolicyInput = aPolicyDocument({
  metadata: { name: "files" },
  models: [
    {
      name: "magika",
      match: { hosts: ["models.example.com"], pathPrefix: "/v2/models/magika" },
      versions: [
        { name: "v1", address: { host: "magika-v1.models.svc.cluster.local", port: 8080 } },
        { name: "v3", address: { host: "magika-v3.models.svc.cluster.local", port: 8080 } },
      ],
      default: "v1",
    },
  ],
  shadows: [
    {
      name: "next",
      model: "magika",
      version: "v3",
      address: { host: "magika-next.models.svc.cluster.local", port: 8080 },
      unit: "user",
      share: 1000,
    },
  ],
});

const compiled = aPolicy(POLICY);

/** The policy of the mesh, as `-p` gives it. */
export const SOUND_POLICY = {
  policy: compiled.source,
  version: compiled.version,
  headersRead: compiled.headersRead,
};

export type Document = Record<string, unknown>;

/** What Weir renders and installs for one policy in one cluster, as plain data to be broken. */
export function soundMesh(): Document[] {
  const { headersRead } = SOUND_POLICY;
  const options = { ...ISTIO_DEFAULTS, headersRead, clientNamespaces: ["apps"] };
  const rendered = renderIstio(SOUND_POLICY.policy, options).map(({ root }) => root);
  const namespaces = ["weir-system", "models", "apps", "istio-ingress"].map((name) => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, labels: { "istio-injection": "enabled" } },
  }));
  const installed = ["extproc", "models"].flatMap((base) =>
    parseAllDocuments(
      readFileSync(new URL(`../../istio/base/${base}/${base}.yaml`, import.meta.url), "utf8"),
    ).map((document) => document.toJS() as Document),
  );
  return structuredClone([...rendered, ...namespaces, ...installed]) as Document[];
}

/** What Weir renders for an Envoy of its own, as its bootstrap file. */
export function soundEnvoy(): Document[] {
  const options = { ...ENVOY_DEFAULTS, headersRead: SOUND_POLICY.headersRead };
  return [structuredClone(renderEnvoy(SOUND_POLICY.policy, options).root) as Document];
}

/** The same as a running Envoy of a version tells it. */
export function soundDump(
  [major, minor, patch]: readonly [number, number, number] = [1, 40, 0],
): Document[] {
  const [bootstrap] = soundEnvoy();
  const { listeners, clusters } = bootstrap?.["static_resources"] as Record<string, object[]>;
  const type = (name: string) => ({ "@type": `type.googleapis.com/envoy.admin.v3.${name}` });
  const version = { major_number: major, minor_number: minor, patch };
  return [
    {
      configs: [
        {
          ...type("BootstrapConfigDump"),
          bootstrap: { ...bootstrap, node: { user_agent_build_version: { version } } },
        },
        {
          ...type("ClustersConfigDump"),
          static_clusters: clusters?.map((cluster) => ({ cluster })),
        },
        {
          ...type("ListenersConfigDump"),
          dynamic_listeners: listeners?.map((listener) => ({ active_state: { listener } })),
        },
      ],
    },
  ];
}

/** A key, an index from either end, or the item of a list that has these fields. */
export type Step = string | number | Readonly<Record<string, unknown>>;

/** The object of `KIND NAMESPACE/NAME`. */
export function object(documents: readonly Document[], title: string): Document {
  const found = documents.find(({ kind, metadata }) => {
    const { namespace, name } = (metadata ?? {}) as Record<string, unknown>;
    return title === `${String(kind)} ${String(namespace)}/${String(name)}`;
  });
  if (found === undefined) throw new Error(`there is no ${title}`);
  return found;
}

/** Follows steps, and fails where they lead nowhere. */
export function within(value: unknown, ...steps: readonly Step[]): Record<string, unknown> {
  let inner = value as Record<string, unknown>;
  for (const step of steps) {
    const next =
      typeof step === "object"
        ? (inner as unknown as Document[]).find((item) =>
            Object.entries(step).every(([key, wanted]) => isDeepStrictEqual(item[key], wanted)),
          )
        : typeof step === "number"
          ? (inner as unknown as Document[]).at(step)
          : inner[step];
    if (next === undefined) throw new Error(`${JSON.stringify(step)} leads nowhere`);
    inner = next as Record<string, unknown>;
  }
  return inner;
}
