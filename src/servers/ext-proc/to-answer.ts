import { status as grpcStatus } from "@grpc/grpc-js";
import type { RequestOutcome } from "../../app/handle-request.js";
import { assertNever } from "../../core/assert-never.js";
import type { Decision } from "../../core/routing/decision.js";
import type { ImmediateResponse } from "../../gen/envoy/service/ext_proc/v3/ImmediateResponse.js";
import type { ProcessingResponse } from "../../gen/envoy/service/ext_proc/v3/ProcessingResponse.js";
import type { StatusCode } from "../../gen/envoy/type/v3/StatusCode.js";
import { HEADER } from "../../schema/headers.js";
import type { Answer, HeadersAnswer } from "./answer.js";
import {
  ERROR_METADATA,
  inNamespace,
  metadataOf,
  type RateLimitTexts,
} from "./decision-metadata.js";
import { sendableOf, setHeadersOf, type HeaderValues } from "./header-mutation.js";
import {
  rateLimitOf,
  rateLimitPolicyOf,
  retryAfterSeconds,
  tightestLimit,
  type LimitOf,
} from "./rate-limit-headers.js";

/** RFC 7725. Envoy's enum has no name for it; an open enum takes the number. */
const UNAVAILABLE_FOR_LEGAL_REASONS = 451 as number as StatusCode;

export type AnswerContext = {
  /** Names of incoming headers that may not pass on. */
  readonly strip: readonly string[];
  readonly limitOf: LimitOf;
  readonly onHeaderDropped: (name: string) => void;
};

/** What Envoy is told. */
export function toAnswer(outcome: RequestOutcome, context: AnswerContext): Answer {
  switch (outcome.kind) {
    case "passThrough":
      return { remove: context.strip, set: [], metadata: undefined };
    case "admitted":
      return admitted(outcome.decision, outcome.id, context);
    case "shed":
      return admitted(outcome.decision, undefined, context);
    case "limited":
      return limited(outcome, context);
    case "overloaded":
      return overloaded(outcome, context);
    case "refused":
      return refused(outcome.decision, outcome.id, context);
    default:
      return assertNever(outcome);
  }
}

/** What we answer when our own code failed: nothing forged passes, the default route serves it. */
export const safeDefault = (strip: readonly string[]): HeadersAnswer => ({
  remove: strip,
  set: [],
  metadata: ERROR_METADATA,
});

function admitted(
  decision: Decision,
  id: string | undefined,
  context: AnswerContext,
): HeadersAnswer {
  const metadata = metadataOf(decision, id, rateLimitTexts(decision, context));
  const values: HeaderValues = [
    [HEADER.version, `${decision.model}/${decision.version}`],
    // No arm, no header.
    [HEADER.arms, metadata["arms"] === "" ? undefined : metadata["arms"]],
    [HEADER.policy, decision.policy],
    [HEADER.decision, id],
    [HEADER.seed, decision.seed === null ? undefined : String(decision.seed)],
    [HEADER.shadowCluster, decision.shadow?.cluster],
  ];
  return { remove: context.strip, set: sendableOf(values, context.onHeaderDropped), metadata };
}

function rateLimitTexts(decision: Decision, { limitOf }: AnswerContext): RateLimitTexts {
  const tightest = tightestLimit(decision.limits, limitOf);
  if (tightest === undefined) return {};
  const limit = limitOf(tightest.limit);
  return {
    rateLimit: rateLimitOf(tightest),
    policy: limit === undefined ? undefined : rateLimitPolicyOf(limit),
  };
}

function limited(
  outcome: Extract<RequestOutcome, { kind: "limited" }>,
  context: AnswerContext,
): ProcessingResponse {
  const { decision, id, retryAfterMs } = outcome;
  const rateLimit = rateLimitTexts(decision, context);
  const seconds = retryAfterSeconds(retryAfterMs);
  const name = tightestLimit(decision.limits, context.limitOf)?.limit ?? "unknown";
  return immediateAnswer({
    status: { code: "TooManyRequests" },
    headers: [
      [HEADER.retryAfter, String(seconds)],
      [HEADER.rateLimit, rateLimit.rateLimit],
      [HEADER.rateLimitPolicy, rateLimit.policy],
    ],
    error: `limit "${name}" is used up; retry after ${seconds} s, or ask for a larger quota`,
    // Envoy would tell gRPC callers UNAVAILABLE, and the mesh would retry what we refused.
    grpcStatus: grpcStatus.RESOURCE_EXHAUSTED,
    details: "weir_rate_limited",
    dynamicMetadata: inNamespace(metadataOf(decision, id, rateLimit)),
    onHeaderDropped: context.onHeaderDropped,
  });
}

/** Busy here: another replica may take it, so a mesh may retry it, unlike a limit. */
function overloaded(
  { decision, retryAfterMs }: Extract<RequestOutcome, { kind: "overloaded" }>,
  context: AnswerContext,
): ProcessingResponse {
  const seconds = retryAfterSeconds(retryAfterMs);
  return immediateAnswer({
    status: { code: "ServiceUnavailable" },
    headers: [[HEADER.retryAfter, String(seconds)]],
    error: `the service that decides about requests is overloaded; retry after ${seconds} s`,
    grpcStatus: grpcStatus.UNAVAILABLE,
    details: "weir_overloaded",
    dynamicMetadata: inNamespace(metadataOf(decision, undefined, {})),
    onHeaderDropped: context.onHeaderDropped,
  });
}

function refused(decision: Decision, id: string, context: AnswerContext): ProcessingResponse {
  return immediateAnswer({
    status: { code: UNAVAILABLE_FOR_LEGAL_REASONS },
    headers: [],
    error:
      `no version of model "${decision.model}" may serve this request where the policy's residency ` +
      `rules allow it; ask the operator to add a version in an allowed region`,
    grpcStatus: grpcStatus.PERMISSION_DENIED,
    details: "weir_residency",
    dynamicMetadata: inNamespace(metadataOf(decision, id, {})),
    onHeaderDropped: context.onHeaderDropped,
  });
}

type Refusal = Pick<Required<ImmediateResponse>, "status" | "details"> &
  Pick<Required<ProcessingResponse>, "dynamicMetadata"> &
  Pick<AnswerContext, "onHeaderDropped"> & {
    readonly headers: HeaderValues;
    readonly error: string;
    readonly grpcStatus: number;
  };

function immediateAnswer(refusal: Refusal): ProcessingResponse {
  const headers: HeaderValues = [["content-type", "application/json"], ...refusal.headers];
  return {
    immediateResponse: {
      status: refusal.status,
      headers: { setHeaders: setHeadersOf(sendableOf(headers, refusal.onHeaderDropped)) },
      body: Buffer.from(JSON.stringify({ error: refusal.error })),
      grpcStatus: { status: refusal.grpcStatus },
      details: refusal.details,
    },
    dynamicMetadata: refusal.dynamicMetadata,
  };
}
