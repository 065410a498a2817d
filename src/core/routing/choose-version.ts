import type { CompiledModel, CompiledVersion } from "../policy/compiled-policy.js";
import type { Reason } from "./decision.js";

export type VersionChoice =
  | { readonly kind: "version"; readonly version: CompiledVersion; readonly moved: Reason | null }
  /** Residency forbids every version. */
  | { readonly kind: "refused" };

/**
 * The version that serves: the wanted one, unless residency forbids it or it is unhealthy.
 *
 * Health is advice: an unhealthy version gives way to the fallback, then to the default, if one of
 * them is allowed and healthy. Else it stays, since a failing answer tells more than a refusal; no
 * third version is tried, which nobody named to stand in.
 *
 * Residency is law: for a forbidden version the fallback, the default and then every other version
 * are tried; the first allowed and healthy one serves, else the first allowed one, however
 * unhealthy. Only when none is allowed is the request refused.
 *
 * @param regions    the allowed regions of each rule that applies, all of which must hold; empty:
 *                   anywhere. A rule whose expression fails does not apply.
 * @param unhealthy  `<model>/<version>` keys
 */
export function chooseVersion(
  model: CompiledModel,
  wanted: CompiledVersion,
  regions: readonly ReadonlySet<string>[],
  unhealthy: ReadonlySet<string>,
): VersionChoice {
  const allowed = (version: CompiledVersion) => allowedIn(version.region, regions);
  const healthy = (version: CompiledVersion) => !unhealthy.has(version.key);
  if (allowed(wanted) && healthy(wanted)) return { kind: "version", version: wanted, moved: null };
  const substitutes = [model.fallback, model.defaultVersion];
  if (allowed(wanted)) {
    const version = substitutes.find((candidate) => allowed(candidate) && healthy(candidate));
    return version === undefined
      ? { kind: "version", version: wanted, moved: null }
      : { kind: "version", version, moved: "unhealthy" };
  }
  const candidates = [...substitutes, ...model.versions.values()].filter(allowed);
  const version = candidates.find(healthy) ?? candidates[0];
  return version === undefined
    ? { kind: "refused" }
    : { kind: "version", version, moved: "residency" };
}

/** A version whose region is not declared is allowed nowhere once a rule applies. */
export function allowedIn(
  region: string | undefined,
  regions: readonly ReadonlySet<string>[],
): boolean {
  return regions.every((allowed) => region !== undefined && allowed.has(region));
}
