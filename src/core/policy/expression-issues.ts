import type { PolicyIssue } from "../../schema/policy-issue.js";
import type { Item, PolicyParts } from "../../schema/policy-parts.js";
import { celEnvironment, compileExpression } from "../cel/expression.js";

/** Mistakes in the CEL expressions of a policy that has other mistakes too. */
export function expressionIssues(parts: PolicyParts): readonly PolicyIssue[] {
  const environment = celEnvironment([...parts.units], parts.context);
  const check = (item: Item<unknown>, key: string, text: string | undefined): PolicyIssue[] => {
    const result = text === undefined ? undefined : compileExpression(environment, text);
    return result !== undefined && "error" in result
      ? [{ path: [...item.path, key], message: result.error }]
      : [];
  };
  return [
    ...parts.experiments.flatMap((item) => check(item, "eligibility", item.value.eligibility)),
    ...[...parts.shadows, ...parts.limits, ...parts.residency].flatMap((item) =>
      check(item, "when", item.value.when),
    ),
  ];
}
