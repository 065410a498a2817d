/** The version of a request that names none: the one declared, else the highest integer. */
export function defaultVersionOf(
  versions: readonly string[],
  declared: string | undefined,
):
  | { readonly kind: "found"; readonly version: string }
  | { readonly kind: "none"; readonly because: string } {
  if (declared !== undefined) {
    return versions.includes(declared)
      ? { kind: "found", version: declared }
      : { kind: "none", because: `there is no version ${declared}, only ${versions.join(", ")}` };
  }
  const integers = versions.filter((version) => /^\d+$/.test(version));
  const highest = integers.sort((a, b) => Number(a) - Number(b)).at(-1);
  const only = versions.length === 1 ? versions[0] : undefined;
  const version = highest ?? only;
  return version === undefined
    ? {
        kind: "none",
        because: `none of the versions ${versions.join(", ")} is an integer: name one as defaultVersion`,
      }
    : { kind: "found", version };
}
