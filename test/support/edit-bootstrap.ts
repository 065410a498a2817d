import type { Plain, RenderedDocument } from "../../src/core/render/rendered-document.js";

type Filter = { readonly name: string; readonly typed_config: Plain };
type Endpoint = { readonly endpoint: Plain };
type Bootstrap = {
  readonly static_resources: {
    readonly listeners: readonly {
      readonly filter_chains: readonly {
        readonly filters: readonly { readonly typed_config: { http_filters: Filter[] } }[];
      }[];
    }[];
    readonly clusters: readonly {
      readonly name: string;
      readonly load_assignment: { readonly endpoints: { lb_endpoints: Endpoint[] }[] };
    }[];
  };
};

/**
 * Puts a stand-in where ext_proc was: it decides what `x-test-*` headers say and nothing else, so
 * that routes are tested without an external processor.
 */
export function withScriptedDecisions(document: RenderedDocument): RenderedDocument {
  return edited(document, ({ static_resources: { listeners } }) => {
    const manager = listeners[0]!.filter_chains[0]!.filters[0]!.typed_config;
    manager.http_filters = manager.http_filters.map((filter) =>
      filter.name === "envoy.filters.http.ext_proc" ? SCRIPTED_DECISIONS : filter,
    );
  });
}

/** Gives a cluster several pods on loopback. */
export function withEndpoints(
  document: RenderedDocument,
  cluster: string,
  ports: readonly number[],
): RenderedDocument {
  return edited(document, ({ static_resources: { clusters } }) => {
    const assignment = clusters.find(({ name }) => name === cluster)!.load_assignment;
    assignment.endpoints[0]!.lb_endpoints = ports.map((port) => ({
      endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
    }));
  });
}

function edited(document: RenderedDocument, edit: (root: Bootstrap) => void): RenderedDocument {
  const root = structuredClone(document.root);
  edit(root as unknown as Bootstrap);
  return { ...document, root, comments: [] };
}

const SCRIPTED_DECISIONS: Filter = {
  name: "envoy.filters.http.lua",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
    default_source_code: {
      inline_string: `
        function envoy_on_request(handle)
          local headers = handle:headers()
          for _, name in ipairs({"version", "shadow-cluster"}) do
            local value = headers:get("x-test-" .. name)
            if value then headers:replace("x-weir-" .. name, value) end
          end
          for _, name in ipairs({"ratelimit", "ratelimit_policy", "decision"}) do
            local value = headers:get("x-test-" .. name)
            if value then handle:streamInfo():dynamicMetadata():set("weir", name, value) end
          end
          handle:clearRouteCache()
        end`,
    },
  },
};
