import { KEY_WORDS } from "../limit.js";
import type { PolicyParts } from "../policy-parts.js";
import { issue, listed, quoted } from "./issue.js";
import type { Issues } from "./issue.js";

const isWord = (part: string) => (KEY_WORDS as readonly string[]).includes(part);

export function limitRules(limit: PolicyParts["limits"][number], parts: PolicyParts): Issues {
  const { key, cost, quota } = limit.value;
  const burst = quota.burst ?? quota.requests;
  const experiments = parts.names("experiments");
  const issues = key.flatMap((part, at) => {
    if (typeof part === "string") {
      if (parts.units.has(part) && isWord(part)) {
        const message = `${quoted(part)} is a unit and a word of its own in keys: rename the unit`;
        return [issue(limit, ["key", at], message)];
      }
      return parts.units.has(part) || isWord(part)
        ? []
        : [
            issue(
              limit,
              ["key", at],
              `unknown key part ${quoted(part)}: name a unit (there: ${listed(parts.units)}) or one of ${KEY_WORDS.join(", ")}`,
            ),
          ];
    }
    if ("arm" in part) {
      return experiments.has(part.arm)
        ? []
        : [
            issue(
              limit,
              ["key", at, "arm"],
              `unknown experiment ${quoted(part.arm)}: declare it under experiments (there: ${listed(experiments)})`,
            ),
          ];
    }
    return [];
  });
  if (cost.default > cost.max && cost.header !== undefined) {
    issues.push(
      issue(
        limit,
        ["cost", "default"],
        `default cost ${cost.default} is over max ${cost.max}: raise max`,
      ),
    );
  }
  const largest = cost.header === undefined ? cost.default : Math.max(cost.max, cost.default);
  if (largest > burst) {
    issues.push(
      issue(
        limit,
        ["cost"],
        `a request may cost ${largest}, over the burst of ${burst}: it could never pass; raise quota.burst or lower cost.${cost.header === undefined ? "default" : "max"}`,
      ),
    );
  }
  return issues;
}
