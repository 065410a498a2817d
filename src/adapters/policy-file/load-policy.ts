import { open } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { expressionIssues } from "../../core/policy/expression-issues.js";
import { compilePolicy } from "../../core/policy/compile-policy.js";
import type { CompiledPolicy } from "../../core/policy/compiled-policy.js";
import { policyWarnings } from "../../core/policy/policy-warnings.js";
import { API_VERSION, type Policy } from "../../schema/policy.js";
import type { PolicyIssue } from "../../schema/policy-issue.js";
import { validatePolicy } from "../../schema/validate-policy.js";
import { issueLines } from "../yaml/issue-lines.js";
import { readYaml } from "../yaml/read-yaml.js";

/**
 * Twice what 10,000 models and 1,000 experiments take in block style (3.4 MB). Reading a file takes
 * about 50 times its size in memory.
 */
const MAX_FILE_BYTES = 8 * 1024 * 1024;

export type LoadedPolicy =
  | {
      readonly kind: "loaded";
      readonly policy: CompiledPolicy;
      readonly warnings: readonly string[];
    }
  | RefusedPolicy;

export type RefusedPolicy = {
  readonly kind: "refused";
  /** Every mistake, each as `file:line:column path: message`. */
  readonly mistakes: readonly string[];
};

/** What a use of the policy asks of it beyond being valid, and what it warns of. */
export type Use = {
  readonly demands?: (policy: Policy) => readonly PolicyIssue[];
  readonly warnings?: (policy: CompiledPolicy) => readonly PolicyIssue[];
};

/** Reads, validates and compiles a policy file; never throws for what the file holds. */
export async function loadPolicy(
  file: string,
  overrideKeys: ReadonlyMap<string, Uint8Array> = new Map(),
  use: Use = {},
): Promise<LoadedPolicy> {
  try {
    const read = await readLimited(file);
    return "text" in read
      ? parsePolicy(file, read.text, overrideKeys, use)
      : refused([read.mistake]);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return refused([`${file}: cannot be read: ${why}`]);
  }
}

/** A file that says to be too large is not read; of one that lies, as a device does, no more is read. */
async function readLimited(
  file: string,
): Promise<{ readonly text: string } | { readonly mistake: string }> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const mistake = (length: number) =>
      `${file}: ${length} bytes are over the limit of ${MAX_FILE_BYTES}: shorten it`;
    if (size > MAX_FILE_BYTES) return { mistake: mistake(size) };
    const bytes = await buffer(handle.createReadStream({ end: MAX_FILE_BYTES, autoClose: false }));
    return bytes.length > MAX_FILE_BYTES
      ? { mistake: mistake(bytes.length) }
      : { text: bytes.toString("utf8") };
  } finally {
    await handle.close();
  }
}

/** `file` is only the name in messages. */
export function parsePolicy(
  file: string,
  text: string,
  overrideKeys: ReadonlyMap<string, Uint8Array> = new Map(),
  use: Use = {},
): LoadedPolicy {
  const document = readYaml(file, text);
  if (document.issues.length > 0) return refused(document.issues);
  if (document.value === null || document.value === undefined) {
    return refused([
      `${file}:1:1 the file holds no document: write a policy, apiVersion: ${API_VERSION}, kind: ServingPolicy`,
    ]);
  }
  const lines = (issues: readonly PolicyIssue[]) => issueLines(document.locate, issues);
  const validated = validatePolicy(document.value, document.numberAt);
  if (validated.kind === "invalid") {
    return refused(lines([...validated.issues, ...expressionIssues(validated.parts)]));
  }
  const compiled = compilePolicy(validated.policy, overrideKeys);
  if ("issues" in compiled) return refused(lines(compiled.issues));
  const unmet = use.demands?.(validated.policy) ?? [];
  if (unmet.length > 0) return refused(lines(unmet));
  const warnings = [
    ...policyWarnings(validated.policy),
    ...(use.warnings?.(compiled.policy) ?? []),
  ];
  return {
    kind: "loaded",
    policy: compiled.policy,
    warnings: fewOf(lines(warnings), "warnings"),
  };
}

function refused(mistakes: readonly string[]): RefusedPolicy {
  return { kind: "refused", mistakes: fewOf(mistakes, "mistakes") };
}

/** A file that is no policy at all would fill the log with itself. */
const MAX_LINES = 200;
const MAX_LINE_LENGTH = 1000;

function fewOf(lines: readonly string[], what: string): readonly string[] {
  const shown = lines
    .slice(0, MAX_LINES)
    .map((line) => (line.length > MAX_LINE_LENGTH ? `${line.slice(0, MAX_LINE_LENGTH)} …` : line));
  const left = lines.length - shown.length;
  return left > 0 ? [...shown, `and ${left} more ${what}`] : shown;
}
