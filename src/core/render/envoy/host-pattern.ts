/**
 * Whether every host that matches `inner` also matches `outer`. Patterns are `*`, `*.suffix` or a
 * name; `*.suffix` does not match the suffix itself.
 */
export function covers(outer: string, inner: string): boolean {
  if (outer === "*" || outer === inner) return true;
  return outer.startsWith("*.") && inner.replace(/^\*/, "").endsWith(outer.slice(1));
}
