import { HEADER } from "../../../schema/headers.js";
import type { Model } from "../../../schema/model.js";
import type { Policy } from "../../../schema/policy.js";
import { why, type Tree } from "../rendered-document.js";
import { extProcOff } from "./ext-proc-filter.js";
import { covers } from "./host-pattern.js";
import { PASSTHROUGH_CLUSTER, versionCluster, versionKey } from "./names.js";
import type { EnvoyOptions } from "./options.js";
import { seconds, typed } from "./protobuf.js";

export function routeConfig(policy: Policy, options: EnvoyOptions): Tree {
  const hosts = [...new Set([...policy.models.flatMap((model) => model.match.hosts), "*"])];
  return {
    name: "weir",
    ignore_port_in_host_matching: true,
    request_mirror_policies: policy.shadows.length > 0 ? [mirror()] : undefined,
    request_headers_to_remove: policy.overrides && overrideHeaders(policy.overrides),
    virtual_hosts: hosts.map((host) => virtualHost(host, policy, options)),
  };
}

function overrideHeaders({ header }: NonNullable<Policy["overrides"]>): Tree {
  return why("extproc removes them too; while it is away, a token must not reach pods.", [
    header,
    HEADER.overrideToken,
  ]);
}

/** Envoy tries one virtual host only, so each holds the models of the wider patterns too. */
function virtualHost(host: string, policy: Policy, options: EnvoyOptions): Tree {
  return {
    name: host,
    domains: [host],
    include_request_attempt_count: why("Pods must tell retries from first tries.", true),
    routes: [...modelsOf(host, policy.models).flatMap(modelRoutes), unknownPath(options)],
  };
}

/** The first match wins, so the longest prefix comes first, as in routing/match-model.ts. */
export function modelsOf(host: string, models: readonly Model[]): readonly Model[] {
  return models
    .filter((model) => model.match.hosts.some((pattern) => covers(pattern, host)))
    .sort((a, b) => b.match.pathPrefix.length - a.match.pathPrefix.length);
}

function modelRoutes(model: Model): readonly Tree[] {
  const path = pathMatch(model.match.pathPrefix);
  const action = (version: string) => ({
    cluster: versionCluster(model.name, version),
    timeout: seconds(model.timeout),
    retry_policy: retryPolicy(model.retries),
  });
  return [
    ...model.versions.map(({ name }) => ({
      name: versionKey(model.name, name),
      match: {
        ...path,
        headers: [{ name: HEADER.version, string_match: { exact: versionKey(model.name, name) } }],
      },
      route: action(name),
    })),
    {
      name: why(
        "After the versions: requests without a decision land here.",
        `${model.name}/default`,
      ),
      match: path,
      route: action(model.default),
    },
  ];
}

/** Whole path segments; Envoy's path_separated_prefix may not end in a slash. */
function pathMatch(prefix: string): { readonly [key: string]: Tree } {
  return prefix.endsWith("/") ? { prefix } : { path_separated_prefix: prefix };
}

function retryPolicy(retries: Model["retries"]): Tree | undefined {
  if (retries.attempts === 0) return undefined;
  const codes = retries.on.filter((on) => /^\d+$/.test(on)).map(Number);
  const names = retries.on.filter((on) => !/^\d+$/.test(on));
  const retryOn = codes.length > 0 ? [...names, "retriable-status-codes"] : names;
  return {
    retry_on: retryOn.join(","),
    retriable_status_codes: codes.length > 0 ? codes : undefined,
    num_retries: retries.attempts,
    per_try_timeout:
      retries.perTryTimeout === undefined ? undefined : seconds(retries.perTryTimeout),
    retry_host_predicate: why("A retry goes to another endpoint, if there is one.", [
      {
        name: "envoy.retry_host_predicates.previous_hosts",
        typed_config: typed("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
      },
    ]),
    host_selection_retry_max_attempts: 10,
  };
}

export function mirror(): Tree {
  return why(
    "extproc chooses per unit; no header, no copy. A runtime_fraction draws per request.",
    {
      cluster_header: HEADER.shadowCluster,
      trace_sampled: why("Copies would show up as second spans of the primary's trace.", false),
      disable_shadow_host_suffix_append: why("Pods and meshes match on the real host.", true),
      request_headers_mutations: [
        {
          append: {
            header: { key: HEADER.shadow, value: "1" },
            append_action: why(
              "The copy has the primary's headers: only this tells them apart.",
              "OVERWRITE_IF_EXISTS_OR_ADD",
            ),
          },
        },
        why("A shadow acts for nobody.", { remove: "authorization" }),
        { remove: "cookie" },
      ],
    },
  );
}

function unknownPath(options: EnvoyOptions): Tree {
  const rest = { match: { prefix: "/" }, typed_per_filter_config: extProcOff() };
  return options.passthrough === undefined
    ? {
        name: "unknown",
        ...rest,
        direct_response: { status: 404, body: { inline_string: "no model at this path\n" } },
      }
    : { name: "passthrough", ...rest, route: { cluster: PASSTHROUGH_CLUSTER } };
}
