import { HEADER, METADATA_NAMESPACE, SET_BY_WEIR, WEIR_PREFIX } from "../../../schema/headers.js";
import type { Check } from "../check.js";
import { extProcCluster, type ExtProcFilter, type Mesh } from "../mesh.js";
import {
  child,
  entries,
  isThere,
  isTrue,
  items,
  milliseconds,
  text,
  texts,
  type Node,
} from "../node.js";

/** A check of one ext_proc filter: it says what is wrong, and of which setting. */
function ofFilter(
  check: Omit<Check, "find">,
  judge: (settings: Node, filter: ExtProcFilter, mesh: Mesh) => readonly [Node, string] | undefined,
): Check {
  return {
    ...check,
    find: (mesh) =>
      mesh.filters.flatMap((filter) => {
        const [at, what] = judge(filter.settings, filter, mesh) ?? [];
        return at === undefined || what === undefined ? [] : [{ at, what }];
      }),
  };
}

const routeCache = ofFilter(
  {
    id: "route-cache-kept",
    severity: "error",
    looksFor: "`route_cache_action: RETAIN` or `disable_clear_route_cache: true`",
    why: "Envoy keeps the route that it chose before the decision, so every request gets the default version.",
    fix: "Leave both out: extproc asks for a new route with each decision.",
  },
  (settings) => {
    const action = child(settings, "route_cache_action");
    if (text(action) === "RETAIN") return [action, "route_cache_action is RETAIN"];
    const disabled = child(settings, "disable_clear_route_cache");
    return isTrue(disabled) ? [disabled, "disable_clear_route_cache is true"] : undefined;
  },
);

const DEFAULT_MESSAGE_TIMEOUT_MS = 200;

const messageTimeout = ofFilter(
  {
    id: "message-timeout",
    severity: "warning",
    looksFor: "`message_timeout` absent, which is 200 ms, or not below that",
    why: "So long does every request wait when extproc hangs, before it is served undecided; with failure mode closed it gets 504.",
    fix: "Set message_timeout: 0.05s.",
  },
  (settings) => {
    const timeout = child(settings, "message_timeout");
    const ms = milliseconds(timeout) ?? DEFAULT_MESSAGE_TIMEOUT_MS;
    return ms < DEFAULT_MESSAGE_TIMEOUT_MS
      ? undefined
      : [timeout, `a request waits ${ms} ms for its decision`];
  },
);

const responseHeaders = ofFilter(
  {
    id: "response-headers-sent",
    severity: "warning",
    looksFor: "`response_header_mode` absent, which is SEND, or SEND",
    why: "It doubles the round trips and holds a side stream open for the whole inference.",
    fix: "Set processing_mode.response_header_mode: SKIP.",
  },
  (settings) => {
    const mode = child(settings, "processing_mode", "response_header_mode");
    return text(mode) === "SKIP" ? undefined : [mode, "response headers are sent to extproc"];
  },
);

const BODY_MODES = ["request_body_mode", "response_body_mode"] as const;

const bodies = ofFilter(
  {
    id: "bodies-sent",
    severity: "error",
    looksFor: "`request_body_mode` or `response_body_mode` other than NONE",
    why: "Envoy sends every tensor to extproc, which decides on headers alone, and a request may no longer go on without an answer.",
    fix: "Set both modes to NONE.",
  },
  (settings) => {
    const mode = BODY_MODES.map((key) => child(settings, "processing_mode", key)).find(
      (one) => isThere(one) && text(one) !== "NONE",
    );
    return mode && [mode, `${String(mode.path.at(-1))} is ${text(mode) ?? ""}`];
  },
);

const failureStatus = ofFilter(
  {
    id: "failure-status",
    severity: "warning",
    looksFor: "failure mode closed, with the status left at 500",
    why: "When extproc is away every request gets 500, which says that a server is broken and which callers do not retry.",
    fix: "Set failure_mode_allow: true, and the default version serves; or status_on_error: { code: ServiceUnavailable }.",
  },
  (settings) => {
    const allow = child(settings, "failure_mode_allow");
    const isOpen = isTrue(allow) || isThere(child(settings, "status_on_error"));
    return isOpen ? undefined : [allow, "requests get 500 when extproc is away"];
  },
);

const forwardRules = ofFilter(
  {
    id: "forward-rules-missing",
    severity: "warning",
    looksFor: "no `forward_rules`",
    why: "Every header of every caller leaves for extproc, cookies and credentials among them; and it is more to parse.",
    fix: "List what the policy reads under forward_rules.allowed_headers: weir render does.",
  },
  (settings) => {
    const rules = child(settings, "forward_rules");
    return isThere(child(rules, "allowed_headers"))
      ? undefined
      : [rules, "every request header is sent to extproc"];
  },
);

const headerNotForwarded = ofFilter(
  {
    id: "header-not-forwarded",
    severity: "error",
    looksFor: "a header that the policy (`-p`) reads and `forward_rules` hold back",
    why: "extproc does not see it: units are missing and expressions are false, so callers are in no arm.",
    fix: "Render the policy again and apply the output.",
  },
  (settings, _, { expected }) => {
    const rules = child(settings, "forward_rules");
    const matchers = (list: string) => items(child(rules, list, "patterns"));
    const allowed = matchers("allowed_headers");
    const disallowed = matchers("disallowed_headers");
    const isForwarded = (name: string) =>
      (allowed.length === 0 || allowed.some((one) => matches(one, name))) &&
      !disallowed.some((one) => matches(one, name));
    const lost = (expected?.headersRead ?? []).filter((name) => !isForwarded(name));
    return lost.length === 0 ? undefined : [rules, `extproc does not get ${lost.join(", ")}`];
  },
);

/** Envoy's StringMatcher. */
function matches(matcher: Node, name: string): boolean {
  const [kind, value] = entries(matcher).find(([key]) => !/ignore_?case/i.test(key)) ?? [];
  if (kind === undefined || value === undefined) return false;
  const plain = (text(value) ?? "").toLowerCase();
  if (kind === "exact") return name === plain;
  if (kind === "prefix") return name.startsWith(plain);
  if (kind === "suffix") return name.endsWith(plain);
  if (kind === "contains") return name.includes(plain);
  return matchesWhole(text(child(value, "regex")), name);
}

/** Envoy's expressions (RE2) match a whole text. One that JavaScript cannot read matches nothing. */
function matchesWhole(regex: string | undefined, name: string): boolean {
  if (regex === undefined) return false;
  try {
    return new RegExp(`^(?:${regex})$`).test(name);
  } catch {
    return false;
  }
}

const metadata = ofFilter(
  {
    id: "metadata-dropped",
    severity: "warning",
    looksFor: "`metadata_options` that do not receive the namespace `weir`",
    why: "Envoy drops the metadata of decisions silently: access logs lack the decision, and clients the ratelimit headers.",
    fix: "Set metadata_options.receiving_namespaces.untyped: [weir].",
  },
  (settings) => {
    const untyped = child(settings, "metadata_options", "receiving_namespaces", "untyped");
    return texts(untyped).includes(METADATA_NAMESPACE)
      ? undefined
      : [untyped, `metadata of the namespace ${METADATA_NAMESPACE} is dropped`];
  },
);

/** What extproc must be able to set: on requests, and on the 429 that it answers. */
const ANSWERED = [...SET_BY_WEIR, HEADER.retryAfter, HEADER.rateLimit, HEADER.rateLimitPolicy];

const mutations = ofFilter(
  {
    id: "mutations-dropped",
    severity: "error",
    looksFor: "`mutation_rules` that refuse a header that extproc sets",
    why: "Envoy drops it silently: without x-weir-version nothing is routed, without retry-after clients come back at once.",
    fix: `Allow them: allow_expression: { regex: "${WEIR_PREFIX}.*|retry-after|ratelimit|ratelimit-policy|content-type" }.`,
  },
  (settings) => {
    const rules = child(settings, "mutation_rules");
    const regex = (name: string) => text(child(rules, name, "regex"));
    const isAllowed = (name: string) => {
      if (matchesWhole(regex("disallow_expression"), name)) return false;
      if (matchesWhole(regex("allow_expression"), name)) return true;
      return !isTrue(child(rules, "disallow_all"));
    };
    const refused = ANSWERED.filter((name) => !isAllowed(name));
    return refused.length === 0 ? undefined : [rules, `Envoy drops ${refused.join(", ")}`];
  },
);

const authority = ofFilter(
  {
    id: "authority-missing",
    severity: "error",
    looksFor: "a cluster of Istio, `outbound|…`, without an `authority` for the side stream",
    why: "Envoy uses the cluster's name as the authority, and the sidecar of extproc refuses its |: every request goes undecided.",
    fix: "Set grpc_service.envoy_grpc.authority to the host name of extproc.",
  },
  (settings, filter) => {
    const cluster = extProcCluster(filter);
    const isRefused =
      text(cluster)?.includes("|") === true &&
      !isThere(child(settings, "grpc_service", "envoy_grpc", "authority"));
    return isRefused ? [cluster, `the authority is ${text(cluster) ?? ""}`] : undefined;
  },
);

const streamRetries = ofFilter(
  {
    id: "stream-not-retried",
    severity: "warning",
    looksFor: "no `grpc_service.retry_policy`",
    why: "HTTP/2 connections may close under a new side stream at any time, as when a replica goes: those requests go undecided.",
    fix: "Set grpc_service.retry_policy with retry_on: connect-failure,refused-stream,reset-before-request,unavailable.",
  },
  (settings) => {
    const retries = child(settings, "grpc_service", "retry_policy");
    return isThere(retries) ? undefined : [retries, "opening a side stream is tried once"];
  },
);

export const settingsChecks: readonly Check[] = [
  routeCache,
  messageTimeout,
  responseHeaders,
  bodies,
  failureStatus,
  forwardRules,
  headerNotForwarded,
  metadata,
  mutations,
  authority,
  streamRetries,
];
