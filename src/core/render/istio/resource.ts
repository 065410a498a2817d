import type { Policy } from "../../../schema/policy.js";
import { renderedDocument, type RenderedDocument, type Tree } from "../rendered-document.js";
import type { NamespacedName } from "./options.js";

const API_VERSION = {
  AuthorizationPolicy: "security.istio.io/v1",
  DestinationRule: "networking.istio.io/v1",
  EnvoyFilter: "networking.istio.io/v1alpha3",
  PeerAuthentication: "security.istio.io/v1",
  ServiceEntry: "networking.istio.io/v1",
  Telemetry: "telemetry.istio.io/v1",
  VirtualService: "networking.istio.io/v1",
} as const;

/** One Istio resource; by its labels an operator finds what a policy no longer needs. */
export function resource(
  kind: keyof typeof API_VERSION,
  { namespace, name }: NamespacedName,
  policy: Policy,
  spec: Tree,
): RenderedDocument {
  return renderedDocument([], {
    apiVersion: API_VERSION[kind],
    kind,
    metadata: {
      name,
      namespace,
      labels: {
        "app.kubernetes.io/managed-by": "weir",
        "app.kubernetes.io/part-of": policy.metadata.name,
      },
    },
    spec,
  });
}

/** Name of the resources that belong to the whole policy. */
export function policyName(policy: Policy): string {
  return `weir-${policy.metadata.name}`;
}
