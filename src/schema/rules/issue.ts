import type { PolicyIssue } from "../policy-issue.js";
import type { Item } from "../policy-parts.js";

export type Issues = readonly PolicyIssue[];

export const issue = (
  item: Item<unknown>,
  path: readonly (string | number)[],
  message: string,
): PolicyIssue => ({ path: [...item.path, ...path], message });

export const listed = (names: Iterable<string>) => [...new Set(names)].sort().join(", ") || "none";
export const quoted = (name: string) => JSON.stringify(name);
