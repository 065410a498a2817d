import { readFile } from "node:fs/promises";
import { expressionIssues } from "../../core/policy/expression-issues.js";
import { compilePolicy } from "../../core/policy/compile-policy.js";
import type { CompiledPolicy } from "../../core/policy/compiled-policy.js";
import { policyWarnings } from "../../core/policy/policy-warnings.js";
import { API_VERSION, type Policy } from "../../schema/policy.js";
import type { PolicyIssue } from "../../schema/policy-issue.js";
import { validatePolicy } from "../../schema/validate-policy.js";
import { issueLines } from "../yaml/issue-lines.js";
import { readYaml } from "../yaml/read-yaml.js";

/** A larger file is a mistake, and would stall the process that parses it. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

export type LoadedPolicy =
  | {
      readonly kind: "loaded";
      readonly policy: CompiledPolicy;
      readonly warnings: readonly string[];
    }
  /** Every mistake, each as `file:line:column path: message`. */
  | { readonly kind: "refused"; readonly mistakes: readonly string[] };

/** What a use of the policy asks of it beyond being valid. */
export type Demands = (policy: Policy) => readonly PolicyIssue[];
const NO_DEMANDS: Demands = () => [];

/** Reads, validates and compiles a policy file; never throws for what the file holds. */
export async function loadPolicy(
  file: string,
  overrideKeys: ReadonlyMap<string, Uint8Array> = new Map(),
  demands: Demands = NO_DEMANDS,
): Promise<LoadedPolicy> {
  try {
    return parsePolicy(file, await readFile(file, "utf8"), overrideKeys, demands);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { kind: "refused", mistakes: [`${file}: cannot be read: ${why}`] };
  }
}

/** `file` is only the name in messages. */
export function parsePolicy(
  file: string,
  text: string,
  overrideKeys: ReadonlyMap<string, Uint8Array> = new Map(),
  demands: Demands = NO_DEMANDS,
): LoadedPolicy {
  if (text.length > MAX_FILE_BYTES) {
    return refused([
      `${file}: ${text.length} characters, over the limit of ${MAX_FILE_BYTES}: split or shorten it`,
    ]);
  }
  const document = readYaml(file, text);
  if (document.issues.length > 0) return refused(document.issues);
  if (document.value === null || document.value === undefined) {
    return refused([
      `${file}:1:1 the file holds no document: write a policy, apiVersion: ${API_VERSION}, kind: ServingPolicy`,
    ]);
  }
  const lines = (issues: readonly PolicyIssue[]) => issueLines(document.locate, issues);
  const validated = validatePolicy(document.value);
  if (validated.kind === "invalid") {
    return refused(lines([...validated.issues, ...expressionIssues(validated.parts)]));
  }
  const compiled = compilePolicy(validated.policy, overrideKeys);
  if ("issues" in compiled) return refused(lines(compiled.issues));
  const unmet = demands(validated.policy);
  if (unmet.length > 0) return refused(lines(unmet));
  return {
    kind: "loaded",
    policy: compiled.policy,
    warnings: lines(policyWarnings(validated.policy)),
  };
}

/** A file that is no policy at all would fill the log with itself. */
const MAX_MISTAKES = 200;
const MAX_MISTAKE_LENGTH = 1000;

function refused(mistakes: readonly string[]): LoadedPolicy {
  const shown = mistakes
    .slice(0, MAX_MISTAKES)
    .map((mistake) =>
      mistake.length > MAX_MISTAKE_LENGTH ? `${mistake.slice(0, MAX_MISTAKE_LENGTH)} …` : mistake,
    );
  const left = mistakes.length - shown.length;
  return { kind: "refused", mistakes: left > 0 ? [...shown, `and ${left} more mistakes`] : shown };
}
