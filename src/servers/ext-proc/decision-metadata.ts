import type { Struct } from "../../gen/google/protobuf/Struct.js";
import type { Decision } from "../../core/routing/decision.js";
import { METADATA_NAMESPACE } from "../../schema/headers.js";
import { structOf, type Texts } from "./struct.js";

/** Structured Field dictionary (RFC 9651) of the arms the request is in; undefined when in none. */
export function armsOf({ arms }: Pick<Decision, "arms">): string | undefined {
  let members: string | undefined;
  for (const { experiment, arm, reason } of arms) {
    if (arm === null || (reason !== "assigned" && reason !== "override")) continue;
    const member = `${experiment}=${arm}`;
    members = members === undefined ? member : `${members}, ${member}`;
  }
  return members;
}

/** Dynamic metadata for access logs and response headers: `%DYNAMIC_METADATA(weir:arms)%`. */
export const metadataOf = (
  decision: Decision,
  id: string | undefined,
  rateLimit: RateLimitTexts,
): Texts => ({
  model: decision.model,
  version: decision.version,
  arms: armsOf(decision) ?? "",
  policy: decision.policy,
  reason: decision.versionReason ?? "default",
  shadow: decision.shadow?.name ?? "",
  override: decision.override,
  decision: id,
  ratelimit: rateLimit.rateLimit,
  ratelimit_policy: rateLimit.policy,
});

export type RateLimitTexts = {
  readonly rateLimit?: string | undefined;
  readonly policy?: string | undefined;
};

/** The metadata as a message holds it. */
export const inNamespace = (texts: Texts): Struct => ({
  fields: { [METADATA_NAMESPACE]: { structValue: structOf(texts) } },
});

/** What the safe default says about itself. */
export const ERROR_METADATA: Texts = { reason: "error" };
