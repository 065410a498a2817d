import type { HostPort } from "../../host-port.js";
import type { EnvoyOptions } from "../envoy/options.js";

export type NamespacedName = { readonly namespace: string; readonly name: string };

export type IstioOptions = Pick<
  EnvoyOptions,
  | "headersRead"
  | "failureMode"
  | "fallback"
  | "messageTimeoutMs"
  | "maxRequestsPerSecond"
  | "accessLogFile"
> & {
  /** The Kubernetes Service of weir extproc, by its full name. */
  readonly extproc: HostPort;
  /** The Gateway through which clients come; it exists already. */
  readonly gateway: NamespacedName;
  /** Labels of the gateway's pods. */
  readonly gatewaySelector: Readonly<Record<string, string>>;
  /** Service account of the gateway's pods, in their namespace. */
  readonly gatewayServiceAccount: NamespacedName;
  /** Namespaces whose sidecars ask extproc when they call a model inside the mesh. */
  readonly clientNamespaces: readonly string[];
  /** Label of pods whose value is the model's name, or the name of extproc's Service. */
  readonly appLabel: string;
  readonly trustDomain: string;
};

/** What `helm install istio-ingress istio/gateway -n istio-ingress` gives, and the chart of Weir. */
export const ISTIO_DEFAULTS = {
  extproc: { host: "weir-extproc.weir-system.svc.cluster.local", port: 9002 },
  gateway: { namespace: "istio-ingress", name: "istio-ingress" },
  gatewaySelector: { istio: "ingress" },
  gatewayServiceAccount: { namespace: "istio-ingress", name: "istio-ingress" },
  clientNamespaces: [],
  appLabel: "app",
  trustDomain: "cluster.local",
  headersRead: [],
  failureMode: "open",
  messageTimeoutMs: 50,
  maxRequestsPerSecond: 20_000,
} as const satisfies IstioOptions;
