/**
 * Every header name Weir reads or writes. Envoy lower-cases header names, so these are the
 * names on the wire.
 */
export const HEADER = {
  /** `<model>/<version>` to serve: the one header on which routes match. */
  version: "x-weir-version",
  /** Structured Field dictionary (RFC 9651) of experiment=arm. */
  arms: "x-weir-arms",
  /** Version of the policy that decided. */
  policy: "x-weir-policy",
  /** ULID of the decision: joins assignment, prediction and outcome. */
  decision: "x-weir-decision",
  /** Unsigned 32-bit decimal: the same for the same unit and model. */
  seed: "x-weir-seed",
  /** Name of the Envoy cluster that receives the mirror; absent: no mirror. */
  shadowCluster: "x-weir-shadow-cluster",
  /** `1` on a mirrored copy, set by the mirror policy. */
  shadow: "x-weir-shadow",
  /** Structured Field dictionary a QA client sends: experiment=arm. */
  override: "x-weir-override",
  /** Expiring HMAC over the override (`weir override mint`). */
  overrideToken: "x-weir-override-token",
  retryAfter: "retry-after",
  rateLimit: "ratelimit",
  rateLimitPolicy: "ratelimit-policy",
  requestId: "x-request-id",
  /** Whose share of a pod a request is charged to. */
  tenant: "x-tenant",
  attemptCount: "x-envoy-attempt-count",
  expectedTimeoutMs: "x-envoy-expected-rq-timeout-ms",
} as const;

/** Headers that extproc (or the mirror policy) writes: they are never an input. */
export const SET_BY_WEIR: ReadonlySet<string> = new Set([
  HEADER.version,
  HEADER.arms,
  HEADER.policy,
  HEADER.decision,
  HEADER.seed,
  HEADER.shadowCluster,
  HEADER.shadow,
]);

/**
 * Value of `x-weir-decision` where the proxy decided by itself because extproc was away: it is no
 * id, so no exposure can come of it.
 */
export const FALLBACK_DECISION = "fallback";

/** No client may send a header of this family except where the policy names it as an input. */
export const WEIR_PREFIX = "x-weir-";

/** Key under which extproc emits dynamic metadata, and Envoy must be told to accept it. */
export const METADATA_NAMESPACE = "weir";
