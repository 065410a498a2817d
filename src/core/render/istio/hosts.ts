import type { Model, ModelVersion } from "../../../schema/model.js";
import type { Policy } from "../../../schema/policy.js";
import type { Shadow } from "../../../schema/shadow.js";
import { ServiceError } from "../../error.js";
import type { HostPort } from "../../host-port.js";
import { invariant } from "../../invariant.js";
import { isIpAddress } from "../envoy/protobuf.js";
import type { IstioOptions, NamespacedName } from "./options.js";

/** A host as Istio knows it: a Service of the cluster, or something a ServiceEntry must name. */
export type MeshHost =
  | ({ readonly kind: "service"; readonly host: string } & NamespacedName)
  | { readonly kind: "dns"; readonly host: string }
  | { readonly kind: "ip"; readonly host: string; readonly address: string };

/** Pods of a host that are routed to under a name of their own; absent: all pods of the host. */
export type Destination = {
  readonly at: MeshHost;
  readonly port: number;
  readonly subset?: string;
};

type Service = Extract<MeshHost, { readonly kind: "service" }>;

const SERVICE = /^([a-z0-9-]+)\.([a-z0-9-]+)\.svc\../;

export function meshHost(host: string): MeshHost {
  const [, name, namespace] = SERVICE.exec(host) ?? [];
  if (name !== undefined && namespace !== undefined) {
    return { kind: "service", host, name, namespace };
  }
  return isIpAddress(host)
    ? { kind: "ip", host: hostOfIp(host), address: host }
    : { kind: "dns", host };
}

/** Where extproc's own resources live. */
export function extprocService({ extproc }: Pick<IstioOptions, "extproc">): Service {
  const at = meshHost(extproc.host);
  if (at.kind === "service") return at;
  throw new ServiceError(
    "badRequest",
    `extproc at ${JSON.stringify(extproc.host)} is no Service of the cluster: name it in full, such as weir-extproc.weir-system.svc.cluster.local`,
  );
}

/** Istio names services by DNS names, so an address gets one that nobody resolves. */
function hostOfIp(address: string): string {
  const label = address.toLowerCase().replace(/[^0-9a-f]/g, "-");
  return `ip-${label.replace(/^-/, "0-").replace(/-$/, "-0")}.weir.internal`;
}

/**
 * Versions of one model at one address are told apart by their pods' `version` label; a version
 * with an address of its own is all that answers there.
 */
export function versionDestination(model: Model, version: ModelVersion): Destination {
  const at = meshHost(version.address.host);
  const { port } = version.address;
  return sharesAddress(model, version)
    ? { at, port, subset: subsetName(version.name) }
    : { at, port };
}

export function sharesAddress(model: Model, { name, address }: ModelVersion): boolean {
  return model.versions.some((other) => other.name !== name && sameAddress(other.address, address));
}

/** A shadow always has a subset, so that its limits bound copies and nothing else. */
export function shadowDestination(
  policy: Policy,
  shadow: Shadow,
): Destination & { readonly subset: string; readonly labels: Readonly<Record<string, string>> } {
  const model = policy.models.find(({ name }) => name === shadow.model);
  const version = model?.versions.find(({ name }) => name === shadow.version);
  invariant(
    model !== undefined && version !== undefined,
    `shadow ${shadow.name} copies to no version of a model`,
  );
  const { host, port } = shadow.address ?? version.address;
  const ownPods = shadow.address !== undefined;
  return {
    ...{ at: meshHost(host), port, subset: `shadow-${shadow.name}` },
    labels: !ownPods && sharesAddress(model, version) ? { version: version.name } : {},
  };
}

/** Subset names are DNS labels, names of versions need not be. */
export function subsetName(version: string): string {
  return version.replace(/[._]/g, "-");
}

/** The name that Istio gives the cluster of a destination. */
export function istioCluster({ at, port, subset = "" }: Destination): string {
  return `outbound|${port}|${subset}|${at.host}`;
}

/** The SPIFFE id without its scheme, as AuthorizationPolicy wants it. */
export function gatewayPrincipal({ trustDomain, gatewayServiceAccount }: IstioOptions): string {
  const { namespace, name } = gatewayServiceAccount;
  return `${trustDomain}/ns/${namespace}/sa/${name}`;
}

/** Namespaces that hold pods of a model, copies included; sorted. */
export function podNamespaces(policy: Policy, model: Model): readonly string[] {
  const shadows = policy.shadows.filter((shadow) => shadow.model === model.name);
  const hosts = [
    ...model.versions.map(({ address }) => meshHost(address.host)),
    ...shadows.map((shadow) => shadowDestination(policy, shadow).at),
  ];
  return [...new Set(hosts.flatMap((at) => (at.kind === "service" ? [at.namespace] : [])))].sort();
}

function sameAddress(left: HostPort, right: HostPort): boolean {
  return left.host === right.host && left.port === right.port;
}
