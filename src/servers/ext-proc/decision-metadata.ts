import type { Struct } from "../../gen/google/protobuf/Struct.js";
import type { Decision } from "../../core/routing/decision.js";
import { METADATA_NAMESPACE } from "../../schema/headers.js";
import { structOf } from "./struct.js";

/** Arms, versions and policies in force at one time are far fewer; a full memo starts again. */
const MAX_REMEMBERED = 1024;
const remembered = new Map<string, Struct["fields"]>();

type Text = Readonly<Record<string, string | undefined>>;

/** Structured Field dictionary (RFC 9651) of the arms the request is in; undefined when in none. */
export function armsOf(decision: Decision): string | undefined {
  const members = decision.arms
    .filter(({ arm, reason }) => arm !== null && (reason === "assigned" || reason === "override"))
    .map(({ experiment, arm }) => `${experiment}=${arm ?? ""}`);
  return members.length === 0 ? undefined : members.join(", ");
}

/** The part that is the same for every request decided alike: building a Struct costs 20 us. */
function sharedFields(decision: Decision): Struct["fields"] {
  const shared = {
    model: decision.model,
    version: decision.version,
    arms: armsOf(decision) ?? "",
    policy: decision.policy,
    reason: decision.versionReason ?? "default",
    shadow: decision.shadow?.name ?? "",
    override: decision.override,
  };
  const key = Object.values(shared).join("\n");
  const known = remembered.get(key);
  if (known !== undefined) return known;
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  const fields = structOf(shared).fields;
  remembered.set(key, fields);
  return fields;
}

/** Dynamic metadata for access logs and response headers: `%DYNAMIC_METADATA(weir:arms)%`. */
export function metadataOf(decision: Decision, perRequest: Text): Struct {
  const fields = { ...sharedFields(decision) };
  for (const [key, text] of Object.entries(perRequest)) {
    if (text !== undefined) fields[key] = { stringValue: text };
  }
  return { fields: { [METADATA_NAMESPACE]: { structValue: { fields } } } };
}

/** What the safe default says about itself. */
export const ERROR_METADATA: Struct = structOf({ [METADATA_NAMESPACE]: { reason: "error" } });
