import { HEADER, METADATA_NAMESPACE, WEIR_PREFIX } from "../../../schema/headers.js";
import type { Policy } from "../../../schema/policy.js";
import { why, type Tree } from "../rendered-document.js";
import type { EnvoyOptions } from "./options.js";
import { seconds, typed, type HttpFilter } from "./protobuf.js";

export const EXT_PROC_FILTER = "envoy.filters.http.ext_proc";
const PACKAGE = "envoy.extensions.filters.http.ext_proc.v3";

/** What extproc needs of every request, whatever the policy says. */
const ALWAYS_FORWARDED = [
  ":method",
  ":path",
  ":authority",
  HEADER.requestId,
  "traceparent",
  "tracestate",
];

const ANSWER_HEADERS = [
  `${WEIR_PREFIX}.*`,
  HEADER.retryAfter,
  HEADER.rateLimit,
  HEADER.rateLimitPolicy,
  "content-type",
];

type ExtProcOptions = Pick<EnvoyOptions, "failureMode" | "messageTimeoutMs" | "headersRead">;

/** @param target  the cluster of the external processors, and the name they go by there */
export function extProcFilter(
  policy: Policy,
  options: ExtProcOptions,
  target: { readonly cluster_name: string; readonly authority?: Tree },
): HttpFilter {
  return {
    name: EXT_PROC_FILTER,
    typed_config: typed(`${PACKAGE}.ExternalProcessor`, {
      stat_prefix: "weir",
      grpc_service: grpcService(target),
      ...failureMode(options.failureMode),
      message_timeout: why(
        "Bounds what a slow extproc costs a request; Envoy's 200ms is an age for inference.",
        seconds(options.messageTimeoutMs),
      ),
      processing_mode: {
        request_header_mode: "SEND",
        response_header_mode: why(
          "The default SEND doubles the round trips and holds a side stream for the whole inference.",
          "SKIP",
        ),
        request_body_mode: "NONE",
        response_body_mode: "NONE",
        request_trailer_mode: "SKIP",
        response_trailer_mode: "SKIP",
      },
      allow_mode_override: false,
      forward_rules: forwardRules(options.headersRead),
      request_attributes: readsPrincipal(policy)
        ? why("The caller as mTLS proved it; absent on a listener without client certificates.", [
            "connection.uri_san_peer_certificate",
          ])
        : undefined,
      mutation_rules: {
        disallow_all: why("Also holds for 429 answers; what is refused is dropped silently.", true),
        allow_expression: { regex: ANSWER_HEADERS.join("|") },
      },
      metadata_options: {
        receiving_namespaces: {
          untyped: why("Without it dynamic metadata is dropped silently.", [METADATA_NAMESPACE]),
        },
      },
    }),
  };
}

/** Per-route: requests that belong to no model cost extproc nothing. */
export function extProcOff(): Tree {
  return {
    [EXT_PROC_FILTER]: typed(`${PACKAGE}.ExtProcPerRoute`, { disabled: true }),
  };
}

/** Per-route: switches on a filter that the listener has switched off. */
export function extProcOn(): Tree {
  return typed(`${PACKAGE}.ExtProcPerRoute`, { overrides: {} });
}

function grpcService(target: { readonly [key: string]: Tree }): Tree {
  return {
    envoy_grpc: target,
    retry_policy: why(
      "Opening the side stream is retried: HTTP/2 connections may close under it at any time.",
      {
        retry_on: "connect-failure,refused-stream,reset-before-request,unavailable",
        num_retries: 2,
        retry_host_predicate: why(
          "A dead replica has no streams, so least-request would choose it again.",
          [
            {
              name: "envoy.retry_host_predicates.previous_hosts",
              typed_config: typed(
                "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
                {},
              ),
            },
          ],
        ),
        host_selection_retry_max_attempts: 8,
        retry_back_off: why("The default 25ms would eat the message timeout.", {
          base_interval: "0.001s",
          max_interval: "0.005s",
        }),
      },
    ),
  };
}

function failureMode(mode: EnvoyOptions["failureMode"]): { readonly [key: string]: Tree } {
  return mode === "open"
    ? {
        failure_mode_allow: why("Without extproc requests still reach their model.", true),
      }
    : {
        failure_mode_allow: false,
        status_on_error: why(
          "Retriable, unlike the default 500. A message timeout answers 504 all the same.",
          { code: "ServiceUnavailable" },
        ),
      };
}

function forwardRules(headersRead: readonly string[]): Tree {
  const read = headersRead.filter((name) => !name.startsWith(WEIR_PREFIX));
  const exact = [...new Set([...ALWAYS_FORWARDED, ...[...read].sort()])].map((name) => ({
    exact: name,
  }));
  return {
    allowed_headers: why("Only what the policy reads leaves Envoy: less personal data, less CPU.", {
      patterns: [{ prefix: WEIR_PREFIX }, ...exact],
    }),
  };
}

function readsPrincipal(policy: Policy): boolean {
  const trusted = policy.overrides?.trust.some((trust) => "principal" in trust) ?? false;
  return trusted || policy.limits.some((limit) => limit.key.includes("principal"));
}
