import type { Struct } from "../../gen/google/protobuf/Struct.js";
import type { Decision } from "../../core/routing/decision.js";
import { METADATA_NAMESPACE } from "../../schema/headers.js";
import { structOf, type Texts } from "./struct.js";

/** Structured Field dictionary (RFC 9651) of the arms the request is in; undefined when in none. */
export function armsOf(decision: Decision): string | undefined {
  const members = decision.arms
    .filter(({ arm, reason }) => arm !== null && (reason === "assigned" || reason === "override"))
    .map(({ experiment, arm }) => `${experiment}=${arm ?? ""}`);
  return members.length === 0 ? undefined : members.join(", ");
}

/** Dynamic metadata for access logs and response headers: `%DYNAMIC_METADATA(weir:arms)%`. */
export function metadataOf(decision: Decision, perRequest: Texts): Struct {
  return inNamespace({
    model: decision.model,
    version: decision.version,
    arms: armsOf(decision) ?? "",
    policy: decision.policy,
    reason: decision.versionReason ?? "default",
    shadow: decision.shadow?.name ?? "",
    override: decision.override,
    ...perRequest,
  });
}

const inNamespace = (texts: Texts): Struct => ({
  fields: { [METADATA_NAMESPACE]: { structValue: structOf(texts) } },
});

/** What the safe default says about itself. */
export const ERROR_METADATA: Struct = inNamespace({ reason: "error" });
