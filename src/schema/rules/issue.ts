import type { PolicyIssue } from "../policy-issue.js";
import type { Item } from "../policy-parts.js";
import { shortened } from "../shape-issues.js";

export type Issues = readonly PolicyIssue[];

export const issue = (
  item: Item<unknown>,
  path: readonly (string | number)[],
  message: string,
): PolicyIssue => ({ path: [...item.path, ...path], message });

const lists = new WeakMap<ReadonlySet<string>, string>();

/** Sorted. A thousand mistakes may tell the same ten thousand names: they are joined once. */
export function listed(names: ReadonlySet<string>): string {
  const known = lists.get(names);
  if (known !== undefined) return known;
  const text = [...names].sort().join(", ") || "none";
  lists.set(names, text);
  return text;
}

/** Room for the longest name, 63 characters, in its quotes. */
const MAX_QUOTED = 65;
export const quoted = (name: string) => shortened(JSON.stringify(name), MAX_QUOTED);
