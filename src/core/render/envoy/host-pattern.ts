/** Host patterns are `*`, `*.suffix` or a name; `*.suffix` does not match the suffix itself. */

/** Whether every host that matches `inner` also matches `outer`. */
export function covers(outer: string, inner: string): boolean {
  if (outer === "*" || outer === inner) return true;
  return outer.startsWith("*.") && inner.length > outer.length - 1 && inner.endsWith(outer.slice(1));
}

/** Orders patterns for one host: a name, then the longest suffix, then `*`. */
export function specificity(pattern: string): number {
  return pattern.startsWith("*") ? pattern.length : Number.POSITIVE_INFINITY;
}
