import { Option } from "commander";
import { parseHostPort, type HostPort } from "../../core/host-port.js";
import {
  ENVOY_DEFAULTS,
  type EnvoyOptions,
  type ExtProcEndpoint,
} from "../../core/render/envoy/options.js";
import { extprocService } from "../../core/render/istio/hosts.js";
import {
  ISTIO_DEFAULTS,
  type IstioOptions,
  type NamespacedName,
} from "../../core/render/istio/options.js";
import { EXIT, ExitError } from "../exit.js";

export type SharedFlags = {
  readonly extproc?: readonly string[];
  readonly failureMode: "open" | "closed";
  readonly messageTimeoutMs: string;
  readonly accessLog?: string;
};

export type EnvoyFlags = {
  readonly listener: string;
  readonly admin: string;
  readonly gracefulClose: boolean;
  readonly passthrough?: string;
};

export type IstioFlags = {
  readonly gateway: string;
  readonly gatewaySelector: string;
  readonly gatewayServiceAccount: string;
  readonly clientNamespace: readonly string[];
  readonly appLabel: string;
  readonly trustDomain: string;
};

const address = ({ host, port }: HostPort) => `${host}:${port}`;
const path = ({ namespace, name }: NamespacedName) => `${namespace}/${name}`;
const envoy = (flag: string, what: string) => new Option(flag, `envoy: ${what}`);
const istio = (flag: string, what: string) => new Option(flag, `istio: ${what}`);

export function sharedFlags(): readonly Option[] {
  return [
    new Option(
      "--extproc <address...>",
      `envoy: HOST:PORT or unix:/PATH of every weir extproc (default: ${ENVOY_DEFAULTS.extproc.map(address).join(" ")}); istio: its Service (default: ${address(ISTIO_DEFAULTS.extproc)})`,
    ),
    new Option("--failure-mode <mode>", "when extproc fails: default version, or 503")
      .choices(["open", "closed"])
      .default(ENVOY_DEFAULTS.failureMode),
    new Option("--message-timeout-ms <ms>", "how long a request waits for its decision").default(
      String(ENVOY_DEFAULTS.messageTimeoutMs),
    ),
    new Option("--access-log <file>", "file for the access log; default: Envoy's standard output"),
  ];
}

export function envoyFlags(): readonly Option[] {
  return [
    envoy("--listener <host:port>", "where clients connect").default(
      address(ENVOY_DEFAULTS.listener),
    ),
    envoy("--admin <host:port>", "Envoy's admin interface").default(address(ENVOY_DEFAULTS.admin)),
    envoy(
      "--graceful-close",
      "end side streams without a reset: cheaper, for Envoy 1.39.3 and newer only",
    ).default(ENVOY_DEFAULTS.gracefulClose),
    envoy("--no-graceful-close", "reset side streams, which every Envoy can (default)"),
    envoy("--passthrough <host:port>", "where requests go that belong to no model; default: 404"),
  ];
}

export function istioFlags(): readonly Option[] {
  return [
    istio("--gateway <namespace/name>", "the Gateway through which clients come").default(
      path(ISTIO_DEFAULTS.gateway),
    ),
    istio("--gateway-selector <key=value,...>", "labels of the gateway's pods").default(
      Object.entries(ISTIO_DEFAULTS.gatewaySelector)
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
    ),
    istio(
      "--gateway-service-account <namespace/name>",
      "service account of the gateway's pods, in their namespace",
    ).default(path(ISTIO_DEFAULTS.gatewayServiceAccount)),
    istio(
      "--client-namespace <name...>",
      "namespaces whose sidecars ask extproc when they call models inside the mesh",
    ).default([...ISTIO_DEFAULTS.clientNamespaces], "none"),
    istio("--app-label <key>", "label of pods that names the model, or extproc's Service").default(
      ISTIO_DEFAULTS.appLabel,
    ),
    istio("--trust-domain <domain>", "trust domain of the mesh").default(
      ISTIO_DEFAULTS.trustDomain,
    ),
  ];
}

export function envoyOptions(flags: SharedFlags & EnvoyFlags): EnvoyOptions {
  return {
    ...ENVOY_DEFAULTS,
    ...sharedOptions(flags),
    listener: parseHostPort("--listener", flags.listener),
    admin: parseHostPort("--admin", flags.admin),
    ...(flags.extproc === undefined ? {} : { extproc: flags.extproc.map(endpoint) }),
    gracefulClose: flags.gracefulClose,
    ...(flags.passthrough === undefined
      ? {}
      : { passthrough: parseHostPort("--passthrough", flags.passthrough) }),
  };
}

export function istioOptions(flags: SharedFlags & IstioFlags): IstioOptions {
  const [extproc = address(ISTIO_DEFAULTS.extproc), ...more] = flags.extproc ?? [];
  if (more.length > 0) {
    throw badFlag("--extproc", more.join(" "), "name one Service, which stands for all replicas");
  }
  const options = {
    ...ISTIO_DEFAULTS,
    ...sharedOptions(flags),
    extproc: parseHostPort("--extproc", extproc),
    gateway: namespacedName("--gateway", flags.gateway),
    gatewaySelector: labels("--gateway-selector", flags.gatewaySelector),
    gatewayServiceAccount: namespacedName("--gateway-service-account", flags.gatewayServiceAccount),
    clientNamespaces: [...new Set(flags.clientNamespace)],
    appLabel: flags.appLabel,
    trustDomain: flags.trustDomain,
  };
  extprocService(options);
  return options;
}

function sharedOptions(flags: SharedFlags) {
  const messageTimeoutMs = Number(flags.messageTimeoutMs);
  if (!Number.isInteger(messageTimeoutMs) || messageTimeoutMs < 1) {
    const rule = "give a whole number of milliseconds above 0";
    throw badFlag("--message-timeout-ms", flags.messageTimeoutMs, rule);
  }
  return {
    failureMode: flags.failureMode,
    messageTimeoutMs,
    ...(flags.accessLog === undefined ? {} : { accessLogFile: flags.accessLog }),
  };
}

function endpoint(text: string): ExtProcEndpoint {
  return text.startsWith("unix:")
    ? { kind: "unix", path: text.slice("unix:".length) }
    : { kind: "tcp", ...parseHostPort("--extproc", text) };
}

function namespacedName(flag: string, text: string): NamespacedName {
  const [, namespace, name] = /^([a-z0-9-]+)\/([a-z0-9.-]+)$/.exec(text) ?? [];
  if (namespace !== undefined && name !== undefined) return { namespace, name };
  throw badFlag(flag, text, "write NAMESPACE/NAME");
}

function labels(flag: string, text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    text.split(",").map((pair) => {
      const [, key, value] = /^([A-Za-z0-9][\w./-]*)=([\w.-]*)$/.exec(pair) ?? [];
      if (key !== undefined && value !== undefined) return [key, value] as const;
      throw badFlag(flag, text, "write KEY=VALUE, with a comma between labels");
    }),
  );
}

function badFlag(flag: string, value: string, rule: string): ExitError {
  return new ExitError(EXIT.badConfiguration, `${flag} ${value}: ${rule}`);
}
