import type { Policy } from "../../../schema/policy.js";
import { MAX_SHADOWS_IN_FLIGHT, UNBOUNDED } from "../envoy/clusters.js";
import { why, type RenderedDocument, type Tree } from "../rendered-document.js";
import {
  extprocService,
  shadowDestination,
  versionDestination,
  type Destination,
  type MeshHost,
} from "./hosts.js";
import type { IstioOptions } from "./options.js";
import { resource } from "./resource.js";

const HTTPS_PORT = 443;
/** Below nghttp2's budget of 1000 resets (CVE-2023-44487), which every Envoy has as a server. */
const STREAMS_PER_CONNECTION = 800;

/** How proxies talk to each host: one rule per host, as Istio takes only one. */
export function destinationRules(
  policy: Policy,
  options: IstioOptions,
): readonly RenderedDocument[] {
  const extproc = extprocService(options);
  const rule = (at: MeshHost, spec: { readonly [key: string]: Tree | undefined }) => {
    const own = at.kind === "service" ? at : { namespace: extproc.namespace, name: at.host };
    const name = {
      namespace: own.namespace,
      name: `weir-${own.name}`.replace("weir-weir", "weir"),
    };
    return resource("DestinationRule", name, policy, { host: at.host, ...spec });
  };
  return [
    rule(extproc, { trafficPolicy: extprocPolicy() }),
    ...modelHosts(policy).map(([at, ports]) =>
      rule(at, { trafficPolicy: podPolicy(at, ports), subsets: subsets(policy, at) }),
    ),
  ];
}

/** Every host of a version or a shadow, with the ports that are used, by name. */
function modelHosts(policy: Policy): readonly (readonly [MeshHost, readonly number[]])[] {
  const byName = new Map<string, readonly [MeshHost, readonly number[]]>();
  for (const { at, port } of destinations(policy)) {
    const ports = byName.get(at.host)?.[1] ?? [];
    byName.set(at.host, [at, [...new Set([...ports, port])]]);
  }
  return [...byName.values()].sort(([left], [right]) => (left.host < right.host ? -1 : 1));
}

export function destinations(policy: Policy): readonly Destination[] {
  return [
    ...policy.models.flatMap((model) =>
      model.versions.map((version) => versionDestination(model, version)),
    ),
    ...policy.shadows.map((shadow) => shadowDestination(policy, shadow)),
  ];
}

function subsets(policy: Policy, { host }: MeshHost): Tree | undefined {
  const versions = policy.models.flatMap((model) =>
    model.versions.flatMap((version) => {
      const { at, subset } = versionDestination(model, version);
      return subset === undefined || at.host !== host
        ? []
        : [{ name: subset, labels: { version: version.name } }];
    }),
  );
  const shadows = policy.shadows.flatMap((shadow) => {
    const { at, subset, labels } = shadowDestination(policy, shadow);
    return at.host === host
      ? [
          {
            name: subset,
            labels: Object.keys(labels).length === 0 ? undefined : labels,
            trafficPolicy: { connectionPool: shadowPool() },
          },
        ]
      : [];
  });
  const all: readonly Tree[] = [...versions, ...shadows];
  return all.length === 0 ? undefined : all;
}

const MUTUAL = { mode: "ISTIO_MUTUAL" };

function podPolicy(at: MeshHost, ports: readonly number[]): Tree {
  const perPort = { connectionPool: connectionPool(), outlierDetection: outlierDetection() };
  const general = { ...perPort, retryBudget: retryBudget() };
  if (at.kind === "service") return { tls: MUTUAL, ...general };
  if (at.kind === "ip" || !ports.includes(HTTPS_PORT)) return general;
  return {
    ...general,
    portLevelSettings: [
      {
        port: { number: HTTPS_PORT },
        tls: why("The gateway speaks TLS to it, so that routes can match on the request.", {
          mode: "SIMPLE",
          sni: at.host,
          caCertificates: "system",
        }),
        ...perPort,
      },
    ],
  };
}

function connectionPool(): Tree {
  return why("Pods say themselves when they are busy; Envoy's own 1024 is too few.", {
    tcp: { maxConnections: UNBOUNDED, connectTimeout: "0.25s" },
    http: { http1MaxPendingRequests: UNBOUNDED, http2MaxRequests: UNBOUNDED },
  });
}

function retryBudget(): Tree {
  return why("Istio sets no bound; this keeps a storm at half the load.", {
    percent: 50,
    minRetryConcurrency: 100,
  });
}

function shadowPool(): Tree {
  return why("A hung shadow must not pile up: over this, copies are dropped.", {
    tcp: { maxConnections: MAX_SHADOWS_IN_FLIGHT, connectTimeout: "0.25s" },
    http: {
      http1MaxPendingRequests: MAX_SHADOWS_IN_FLIGHT,
      http2MaxRequests: MAX_SHADOWS_IN_FLIGHT,
    },
  });
}

function outlierDetection(): Tree {
  return {
    interval: "5s",
    baseEjectionTime: "15s",
    maxEjectionPercent: 50,
    splitExternalLocalOriginErrors: why(
      "A busy pod's 503 is no fault, a refused connection is: count them apart.",
      true,
    ),
    consecutiveLocalOriginFailures: 5,
    consecutive5xxErrors: 20,
  };
}

function extprocPolicy(): Tree {
  return {
    tls: MUTUAL,
    connectionPool: why("One side stream per request, so requests are as many as the gateway's.", {
      tcp: { maxConnections: UNBOUNDED, connectTimeout: "0.25s" },
      http: {
        http1MaxPendingRequests: UNBOUNDED,
        http2MaxRequests: UNBOUNDED,
        maxRetries: UNBOUNDED,
        maxRequestsPerConnection: why(
          "Side streams end in a reset, and a sidecar closes a connection on which it counted 1000 of them: those still open would go undecided.",
          STREAMS_PER_CONNECTION,
        ),
      },
    }),
    outlierDetection: {
      interval: "1s",
      baseEjectionTime: "5s",
      maxEjectionPercent: 50,
      splitExternalLocalOriginErrors: true,
      consecutiveLocalOriginFailures: 3,
      consecutive5xxErrors: why(
        "0 is never: a replica that drains ends streams, and readiness takes it out.",
        0,
      ),
    },
  };
}
