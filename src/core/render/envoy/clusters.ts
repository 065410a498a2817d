import { ServiceError } from "../../error.js";
import type { Model } from "../../../schema/model.js";
import type { Policy } from "../../../schema/policy.js";
import { invariant } from "../../invariant.js";
import { why, type Tree } from "../rendered-document.js";
import { EXTPROC_CLUSTER, PASSTHROUGH_CLUSTER, shadowCluster, versionCluster } from "./names.js";
import type { EnvoyOptions, ExtProcEndpoint } from "./options.js";
import type { HostPort } from "../../host-port.js";
import { isIpAddress, socketAddress, typed } from "./protobuf.js";

/** Far above any load: pods refuse what they cannot serve, and Envoy's 1024 would refuse before. */
export const UNBOUNDED = 1_000_000;
/** Copies per shadow in flight, and as many waiting for a connection: what a hung shadow holds. */
export const MAX_SHADOWS_IN_FLIGHT = 256;

export function clusters(policy: Policy, options: EnvoyOptions): readonly Tree[] {
  return [
    extProcCluster(options.extproc),
    ...policy.models.flatMap((model) =>
      model.versions.map(({ name, address }) =>
        podCluster(versionCluster(model.name, name), address, httpVersion(model), primaryLimits()),
      ),
    ),
    ...policy.shadows.map((shadow) => shadowPods(policy, shadow)),
    ...(options.passthrough === undefined
      ? []
      : [podCluster(PASSTHROUGH_CLUSTER, options.passthrough, "asDownstream", primaryLimits())]),
  ];
}

function shadowPods(policy: Policy, shadow: Policy["shadows"][number]): Tree {
  const model = policy.models.find(({ name }) => name === shadow.model);
  const version = model?.versions.find(({ name }) => name === shadow.version);
  invariant(
    model !== undefined && version !== undefined,
    `shadow ${shadow.name} copies to no version of a model`,
  );
  const address = shadow.address ?? version.address;
  return podCluster(shadowCluster(shadow), address, httpVersion(model), shadowLimits());
}

type HttpVersion = "http1" | "http2" | "asDownstream";

/**
 * A path such as /inference.GRPCInferenceService is gRPC, which needs HTTP/2; other pods are
 * spoken to in HTTP/1.1, whatever clients speak. Following the downstream protocol would do for
 * primaries only: Envoy sends mirrors of HTTP/2 requests as HTTP/1.1 then.
 */
function httpVersion(model: Model): HttpVersion {
  return speaksGrpc(model) ? "http2" : "http1";
}

export function speaksGrpc(model: Pick<Model, "match">): boolean {
  return /^\/([A-Za-z_]\w*\.)+[A-Za-z_]\w*(\/|$)/.test(model.match.pathPrefix);
}

const HTTP_VERSION: Readonly<Record<HttpVersion, { readonly [key: string]: Tree }>> = {
  http1: {
    common_http_protocol_options: {
      idle_timeout: why(
        "Below the 5s after which many servers close idle connections: a request on one that closes fails.",
        "4s",
      ),
    },
    explicit_http_config: { http_protocol_options: {} },
  },
  http2: { explicit_http_config: { http2_protocol_options: {} } },
  asDownstream: {
    use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} },
  },
};

function podCluster(name: string, address: HostPort, version: HttpVersion, limits: Tree): Tree {
  return {
    name,
    ...discovery([address.host]),
    connect_timeout: "0.25s",
    lb_policy: "LEAST_REQUEST",
    load_assignment: loadAssignment(name, [socketAddress(address)]),
    typed_extension_protocol_options: httpOptions(HTTP_VERSION[version]),
    circuit_breakers: { thresholds: [limits] },
    outlier_detection: outlierDetection(),
  };
}

function primaryLimits(): Tree {
  return why("Raw clusters stop at 1024; pods say themselves when they are busy.", {
    max_connections: UNBOUNDED,
    max_pending_requests: UNBOUNDED,
    max_requests: UNBOUNDED,
    retry_budget: why("The default is 3 retries at once; this bounds a storm at half the load.", {
      budget_percent: { value: 50 },
      min_retry_concurrency: 100,
    }),
  });
}

function shadowLimits(): Tree {
  return why("A hung shadow must not pile up: over this, copies are dropped.", {
    max_connections: MAX_SHADOWS_IN_FLIGHT,
    max_pending_requests: MAX_SHADOWS_IN_FLIGHT,
    max_requests: MAX_SHADOWS_IN_FLIGHT,
  });
}

function outlierDetection(): Tree {
  return {
    interval: "5s",
    base_ejection_time: "15s",
    max_ejection_percent: 50,
    split_external_local_origin_errors: why(
      "A busy pod's 503 is no fault, a refused connection is: count them apart.",
      true,
    ),
    consecutive_local_origin_failure: 5,
    consecutive_5xx: 20,
  };
}

function extProcCluster(endpoints: readonly ExtProcEndpoint[]): Tree {
  return {
    name: EXTPROC_CLUSTER,
    ...discovery(extProcHosts(endpoints)),
    connect_timeout: "0.25s",
    lb_policy: "LEAST_REQUEST",
    load_assignment: loadAssignment(EXTPROC_CLUSTER, endpoints.map(extProcAddress)),
    typed_extension_protocol_options: httpOptions({
      explicit_http_config: {
        http2_protocol_options: { connection_keepalive: { interval: "30s", timeout: "5s" } },
      },
    }),
    circuit_breakers: {
      thresholds: [
        why("One side stream per request: over the default 1024 the rest would go undecided.", {
          max_connections: UNBOUNDED,
          max_pending_requests: UNBOUNDED,
          max_requests: UNBOUNDED,
          max_retries: UNBOUNDED,
        }),
      ],
    },
    health_checks: [extProcHealthCheck()],
  };
}

function extProcHosts(endpoints: readonly ExtProcEndpoint[]): readonly string[] {
  const hosts = endpoints.flatMap((endpoint) => (endpoint.kind === "tcp" ? [endpoint.host] : []));
  const names = hosts.filter((host) => !isIpAddress(host));
  if (hosts.length < endpoints.length && names.length > 0) {
    throw new ServiceError(
      "badRequest",
      `external processors mix a unix socket with the DNS name ${names.join(", ")}, which one Envoy cluster cannot hold: give IP addresses beside unix sockets`,
    );
  }
  return hosts;
}

function extProcHealthCheck(): Tree {
  return {
    timeout: "1s",
    interval: "2s",
    no_traffic_interval: why("The default 60s would miss that extproc came back.", "2s"),
    unhealthy_threshold: 2,
    healthy_threshold: 1,
    grpc_health_check: why("A draining extproc says so here and gets no new side streams.", {
      service_name: "readiness",
    }),
  };
}

function extProcAddress(endpoint: ExtProcEndpoint): Tree {
  return endpoint.kind === "tcp" ? socketAddress(endpoint) : { pipe: { path: endpoint.path } };
}

function loadAssignment(cluster: string, addresses: readonly Tree[]): Tree {
  return {
    cluster_name: cluster,
    endpoints: [{ lb_endpoints: addresses.map((address) => ({ endpoint: { address } })) }],
  };
}

function discovery(hosts: readonly string[]): { readonly [key: string]: Tree } {
  if (hosts.every(isIpAddress)) return { type: "STATIC" };
  const family = why("The default tries IPv6 first, and localhost has both.", "V4_PREFERRED");
  return { type: "STRICT_DNS", dns_lookup_family: family };
}

function httpOptions(fields: { readonly [key: string]: Tree }): Tree {
  const type = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return { [type]: typed(type, fields) };
}
