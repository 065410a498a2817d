import type { Issues } from "./rules/issue.js";
import { armRules } from "./rules/arm-rules.js";
import { layerRules } from "./rules/layer-rules.js";
import { limitRules } from "./rules/limit-rules.js";
import { modelRules } from "./rules/model-rules.js";
import { rateLimitRules } from "./rules/rate-limit-rules.js";
import { references, uniqueNames } from "./rules/references.js";
import type { PolicyParts } from "./policy-parts.js";

/** Every rule that one field alone cannot state. Each message says what, the rule, the remedy. */
export function policyRules(parts: PolicyParts): Issues {
  return [
    ...uniqueNames(parts),
    ...references(parts),
    ...modelRules(parts),
    ...parts.experiments.flatMap((experiment) => armRules(experiment)),
    ...layerRules(parts),
    ...parts.limits.flatMap((limit) => limitRules(limit, parts)),
    ...rateLimitRules(parts),
  ];
}
