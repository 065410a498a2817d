import type { Check, Severity } from "./check.js";
import { CHECKS } from "./checks.js";
import type { Mesh } from "./mesh.js";
import type { Node } from "./node.js";

export type Finding = Pick<Check, "id" | "severity" | "why" | "fix"> & {
  readonly what: string;
  readonly document: number;
  readonly path: Node["path"];
  /** In how many more places of the document the same was found. */
  readonly more: number;
};

const RANK: Readonly<Record<Severity, number>> = { error: 0, warning: 1 };

/** What all checks find: errors first, and then in the order of the input. */
export function examine(mesh: Mesh): readonly Finding[] {
  return Object.values(CHECKS)
    .flatMap((checks) => checks.flatMap((check) => findingsOf(check, mesh)))
    .sort(
      (left, right) => RANK[left.severity] - RANK[right.severity] || left.document - right.document,
    );
}

/** An Envoy repeats itself on every port, and so do routes: the same is told once for a document. */
function findingsOf({ id, severity, why, fix, find }: Check, mesh: Mesh): readonly Finding[] {
  const found = new Map<string, Finding>();
  for (const { at, what } of find(mesh)) {
    const { document, path } = at;
    const key = `${document} ${what}`;
    const known = found.get(key);
    found.set(
      key,
      known === undefined
        ? { id, severity, what, why, fix, document, path, more: 0 }
        : { ...known, more: known.more + 1 },
    );
  }
  return [...found.values()];
}
