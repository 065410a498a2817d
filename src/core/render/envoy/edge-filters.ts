import { HEADER, METADATA_NAMESPACE, SET_BY_WEIR, WEIR_PREFIX } from "../../../schema/headers.js";
import { why, type Tree } from "../rendered-document.js";
import { typed, type HttpFilter } from "./protobuf.js";

const ASIDE = "weir-aside-";

/** Response headers and the key of the dynamic metadata that extproc gives for each. */
const RESPONSE_HEADERS = [
  [HEADER.rateLimit, "ratelimit"],
  [HEADER.rateLimitPolicy, "ratelimit_policy"],
  [HEADER.decision, "decision"],
] as const;

/**
 * Takes forged headers away before the first route is chosen. A header_mutation filter would be
 * too late: Envoy picks a route before the filters run, and keeps it when extproc fails open.
 */
export function withoutForgedHeaders(headersRead: readonly string[]): Tree {
  return {
    name: "envoy.http.early_header_mutation.header_mutation",
    typed_config: typed(
      "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
      { mutations: removals(headersRead) },
    ),
  };
}

/**
 * Removes every `x-weir-*` but what the policy reads of clients. Matchers know no exceptions, so
 * those are put aside and back; of a header that was sent twice the first line survives.
 */
function removals(headersRead: readonly string[]): readonly Tree[] {
  const read = [...new Set(headersRead)]
    .filter((name) => name.startsWith(WEIR_PREFIX) && !SET_BY_WEIR.has(name))
    .sort();
  const forged = why(
    "Clients may not forge decisions. A filter would be too late: it runs after the first routing.",
    {
      remove_on_match: { key_matcher: { prefix: WEIR_PREFIX } },
    },
  );
  if (read.length === 0) return [forged];
  const noneAside = { remove_on_match: { key_matcher: { prefix: ASIDE } } };
  return [
    why(
      "The policy reads some x-weir-* of clients: put them aside, and back after the next step.",
      noneAside,
    ),
    ...read.map((name) => copy(name, ASIDE + name)),
    forged,
    ...read.map((name) => copy(ASIDE + name, name)),
    noneAside,
  ];
}

/** Adds nothing when `from` is absent. */
function copy(from: string, to: string): Tree {
  return { append: { header: { key: to, value: `%REQ(${from})%` } } };
}

/** Tells the client what extproc wants told, without asking it a second time. */
export function responseHeaders(): HttpFilter {
  return {
    name: "envoy.filters.http.header_mutation",
    typed_config: typed("envoy.extensions.filters.http.header_mutation.v3.HeaderMutation", {
      mutations: {
        response_mutations: why(
          "What extproc said of the request, with no second round trip; an absent value adds nothing.",
          RESPONSE_HEADERS.map(([key, metadata]) => ({
            append: {
              header: { key, value: `%DYNAMIC_METADATA(${METADATA_NAMESPACE}:${metadata})%` },
              append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
            },
          })),
        ),
      },
    }),
  };
}

export const LOCAL_RATE_LIMIT = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

/** A net under everything else, per Envoy and for all callers together. */
export function coarseLimit(requestsPerSecond: number): HttpFilter {
  const always = { default_value: { numerator: 100, denominator: "HUNDRED" } };
  return {
    name: "envoy.filters.http.local_ratelimit",
    typed_config: typed(LOCAL_RATE_LIMIT, {
      stat_prefix: "weir_net",
      token_bucket: why("A net for when extproc is down: per Envoy, all callers together.", {
        max_tokens: requestsPerSecond,
        tokens_per_fill: requestsPerSecond,
        fill_interval: "1s",
      }),
      filter_enabled: why("Both default to 0 %, which limits nothing.", always),
      filter_enforced: always,
      rate_limited_as_resource_exhausted: why(
        "Else gRPC callers see UNAVAILABLE, which meshes retry.",
        true,
      ),
    }),
  };
}
