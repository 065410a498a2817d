import type { z } from "zod";
import type { PolicyIssue } from "./policy-issue.js";

/** Issues as zod raises them, before a message is chosen. */
type RawIssue = z.core.$ZodRawIssue;

/**
 * The text of a mistake that one field states alone and its schema gives no text of its own for:
 * the value, the rule, and what to write instead. Hand it to `safeParse` as `error`.
 */
export function shapeMessage(issue: RawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return typeMessage(issue.expected, issue.input, keysOf(issue.inst));
    case "invalid_value": {
      const allowed = issue.values.map(String).join(", ");
      return issue.input === undefined
        ? `missing, and required: ${allowed}`
        : `${shown(issue.input)} is not known: write ${issue.values.length > 1 ? "one of " : ""}${allowed}`;
    }
    case "too_small":
    case "too_big":
      return sizeMessage(issue);
    case "unrecognized_keys":
      // issuesOf puts the key before it, once for each.
      return `remove it, or write one of ${keysOf(issue.inst).join(", ")}`;
    case "invalid_format":
    case "invalid_key":
    case "invalid_union":
    case "invalid_element":
    case "not_multiple_of":
    case "custom":
      return undefined;
  }
}

/** What a schema found, one entry per mistake; messages are those of `shapeMessage`. */
export function issuesOf(issue: z.core.$ZodIssue): PolicyIssue[] {
  const path = issue.path.filter((step) => typeof step !== "symbol");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      path: [...path, key],
      message: `unknown key ${shown(key)}: ${issue.message}`,
    }));
  }
  if (issue.code === "invalid_union") {
    const closest = closestBranch(issue.errors);
    if (closest !== undefined) {
      return closest.flatMap((inner) => issuesOf({ ...inner, path: [...path, ...inner.path] }));
    }
  }
  if (issue.code === "invalid_key") return issue.issues.map(({ message }) => ({ path, message }));
  return [{ path, message: issue.message }];
}

/** Of a union's failures, the one that got furthest: its text is about what the operator meant. */
function closestBranch(
  branches: readonly (readonly z.core.$ZodIssue[])[],
): readonly z.core.$ZodIssue[] | undefined {
  const custom = branches.find((branch) =>
    branch.every(({ code }) => code === "invalid_format" || code === "custom"),
  );
  return custom ?? branches.find((branch) => branch.every(({ path }) => path.length > 0));
}

const ARTICLE: Readonly<Record<string, string>> = {
  array: "a list",
  tuple: "a list",
  object: "a map",
  record: "a map",
  int: "a whole number",
  boolean: "true or false",
};

function typeMessage(expected: string, input: unknown, keys: readonly string[]): string {
  const article = ARTICLE[expected] ?? `a ${expected}`;
  const wanted = keys.length === 0 ? article : `${article} of ${keys.join(", ")}`;
  if (input === undefined) return `missing, and required: ${wanted}`;
  const scalar = typeof input === "number" || typeof input === "boolean";
  const remedy = expected === "string" && scalar ? `: put it in quotes, "${String(input)}"` : "";
  return `must be ${wanted}, not ${shown(input)}${remedy}`;
}

function sizeMessage(issue: Extract<RawIssue, { readonly code: "too_small" | "too_big" }>): string {
  const small = issue.code === "too_small";
  const limit = Number(small ? issue.minimum : issue.maximum);
  if (issue.origin === "array") {
    return small && limit === 1
      ? "the list is empty: write at least one item"
      : `the list must have at ${small ? "least" : "most"} ${limit} items`;
  }
  if (issue.origin === "string") {
    return small
      ? "must not be empty"
      : `${String(issue.input).length} characters are over the limit of ${limit}`;
  }
  const bound = issue.inclusive ? `at ${small ? "least" : "most"}` : small ? "over" : "under";
  return `${shown(issue.input)} must be ${bound} ${limit}`;
}

function keysOf(schema: unknown): readonly string[] {
  const def = (
    schema as { readonly _zod?: { readonly def?: { readonly shape?: object } } } | undefined
  )?._zod?.def;
  return Object.keys(def?.shape ?? {});
}

const MAX_SHOWN = 60;

/** A value as an operator would recognise it, on one line. */
export function shown(value: unknown): string {
  return shortened(textOf(value));
}

/** What an operator wrote may be a whole file by mistake. */
export function shortened(text: string, maxLength = MAX_SHOWN): string {
  return text.length > maxLength ? `${text.slice(0, maxLength)}…` : text;
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return `{ ${Object.keys(value).join(", ")} }`;
  // JSON has no NaN and no Infinity, YAML has.
  return typeof value === "number" ? String(value) : JSON.stringify(value);
}

/** Whether an issue of `issuesOf` is about a key that the schema does not know. */
export function isUnknownKey({ message }: PolicyIssue): boolean {
  return message.startsWith("unknown key");
}
