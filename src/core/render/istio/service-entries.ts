import type { Policy } from "../../../schema/policy.js";
import { speaksGrpc } from "../envoy/clusters.js";
import type { RenderedDocument, Tree } from "../rendered-document.js";
import { extprocService, shadowDestination, versionDestination, type MeshHost } from "./hosts.js";
import type { IstioOptions } from "./options.js";
import { resource } from "./resource.js";

type Outside = Exclude<MeshHost, { readonly kind: "service" }>;
type Ports = Map<number, "HTTP" | "GRPC">;

/** Names for Istio what is no Service of the cluster. */
export function serviceEntries(policy: Policy, options: IstioOptions): readonly RenderedDocument[] {
  const extproc = extprocService(options);
  return outsideHosts(policy).map(([at, ports]) =>
    resource("ServiceEntry", { namespace: extproc.namespace, name: `weir-${at.host}` }, policy, {
      hosts: [at.host],
      location: "MESH_EXTERNAL",
      ports: [...ports].map(([number, protocol]) => ({
        number,
        name: `${protocol.toLowerCase()}-${number}`,
        protocol,
      })),
      ...resolution(at),
    }),
  );
}

function resolution(at: Outside): { readonly [key: string]: Tree } {
  return at.kind === "ip"
    ? { resolution: "STATIC", endpoints: [{ address: at.address }] }
    : { resolution: "DNS" };
}

function outsideHosts(policy: Policy): readonly (readonly [Outside, Ports])[] {
  const byName = new Map<string, readonly [Outside, Ports]>();
  for (const { at, port, grpc } of used(policy)) {
    if (at.kind === "service") continue;
    const [, ports] = byName.get(at.host) ?? [at, new Map<number, "HTTP" | "GRPC">()];
    byName.set(at.host, [at, ports.set(port, grpc ? "GRPC" : "HTTP")]);
  }
  return [...byName.values()].sort(([left], [right]) => (left.host < right.host ? -1 : 1));
}

function used(policy: Policy) {
  return policy.models.flatMap((model) => [
    ...model.versions.map((version) => ({
      ...versionDestination(model, version),
      grpc: speaksGrpc(model),
    })),
    ...policy.shadows
      .filter((shadow) => shadow.model === model.name)
      .map((shadow) => ({ ...shadowDestination(policy, shadow), grpc: speaksGrpc(model) })),
  ]);
}
