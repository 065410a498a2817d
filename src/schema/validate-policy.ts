import { Policy } from "./policy.js";
import type { PolicyIssue } from "./policy-issue.js";
import { policyPartsOf } from "./policy-parts.js";
import type { PolicyParts } from "./policy-parts.js";
import { policyRules } from "./policy-rules.js";
import { versionsAsWritten } from "./rules/versions-as-written.js";
import type { NumberAt } from "./rules/versions-as-written.js";
import { isUnknownKey, issuesOf, shapeMessage } from "./shape-issues.js";

export type Validated =
  | { readonly kind: "valid"; readonly policy: Policy }
  | {
      readonly kind: "invalid";
      readonly issues: readonly PolicyIssue[];
      readonly parts: PolicyParts;
    };

/**
 * Validates a document against the schema and the rules across fields; all mistakes at once.
 * `numberAt` tells how the numbers of the document were written.
 */
export function validatePolicy(document: unknown, numberAt: NumberAt = () => undefined): Validated {
  const parsed = Policy.safeParse(document, { error: shapeMessage });
  const shape = parsed.success ? [] : parsed.error.issues.flatMap(issuesOf);
  const unknownKeys = shape.filter(isUnknownKey).map(({ path }) => path);
  const parts = policyPartsOf(document, unknownKeys);
  const issues = [...shape, ...policyRules(parts), ...versionsAsWritten(parts, numberAt)];
  return parsed.success && issues.length === 0
    ? { kind: "valid", policy: parsed.data }
    : { kind: "invalid", issues, parts };
}
