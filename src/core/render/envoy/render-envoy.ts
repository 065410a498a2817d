import type { Policy } from "../../../schema/policy.js";
import { renderedDocument, why, type RenderedDocument, type Tree } from "../rendered-document.js";
import { clusters } from "./clusters.js";
import { listener } from "./listener.js";
import { whileAway } from "./fallback-filter.js";
import type { EnvoyOptions } from "./options.js";
import { socketAddress, typed } from "./protobuf.js";

/** A whole bootstrap file: Envoy 1.36 and newer run it as it is. */
export function renderEnvoy(policy: Policy, options: EnvoyOptions): RenderedDocument {
  return renderedDocument(header(policy, options), {
    admin: { address: socketAddress(options.admin) },
    layered_runtime: runtime(options),
    overload_manager: downstreamConnections(options.maxDownstreamConnections),
    static_resources: {
      listeners: [listener(policy, options)],
      clusters: clusters(policy, options),
    },
  });
}

function runtime({ gracefulClose }: EnvoyOptions): Tree {
  return {
    layers: [
      {
        name: "weir",
        static_layer: {
          "envoy.reloadable_features.ext_proc_graceful_grpc_close": why(
            gracefulClose
              ? "Ends side streams without a reset, which is cheaper. Envoy 1.36 to 1.38 crash with it."
              : "Envoy 1.36 to 1.38 crash with it when a client leaves during its decision; from 1.39.3 on, true is cheaper.",
            gracefulClose,
          ),
        },
      },
    ],
  };
}

function downstreamConnections(max: number): Tree {
  return {
    resource_monitors: [
      {
        name: "envoy.resource_monitors.global_downstream_max_connections",
        typed_config: typed(
          "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
          { max_active_downstream_connections: max },
        ),
      },
    ],
  };
}

function header(policy: Policy, options: EnvoyOptions): readonly string[] {
  const models = policy.models.map(
    ({ name, versions }) => `${name} (${versions.map((version) => version.name).join(", ")})`,
  );
  const extproc = options.extproc
    .map((endpoint) =>
      endpoint.kind === "tcp" ? `${endpoint.host}:${endpoint.port}` : endpoint.path,
    )
    .join(", ");
  const { host, port } = options.listener;
  return [
    `Envoy 1.36 or newer for policy ${policy.metadata.name}: change the policy and render again, not this file.`,
    `Shows: ${models.join(", ")}; experiments: ${policy.experiments.length}, shadows: ${policy.shadows.length}, limits: ${policy.limits.length}.`,
    `Needs: weir extproc at ${extproc} with the same policy; while it is away, ${whileAway(options)}.`,
    `Run:   envoy -c FILE`,
    `Try:   curl -i http://${host}:${port}${policy.models[0]?.match.pathPrefix ?? "/"}`,
  ];
}
