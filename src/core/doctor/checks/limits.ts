import type { Check, Suspect } from "../check.js";
import type { Mesh } from "../mesh.js";
import { child, everyNode, isThere, isTrue, messages, number, text, type Node } from "../node.js";

/** What is looked through: EnvoyFilters with Weir's filter, and connection managers with their routes. */
function weirsConfiguration({ filters, patches }: Mesh): readonly Node[] {
  const resources = new Set(
    filters.flatMap(({ owner }) => (owner.kind === "patch" ? [owner.patch.resource] : [])),
  );
  const managers = new Set(
    filters.flatMap(({ owner }) => (owner.kind === "manager" ? [owner.manager] : [])),
  );
  return [
    ...patches.filter(({ resource }) => resources.has(resource)).map(({ value }) => value),
    ...[...managers].flatMap(({ node, routes }) => [
      node,
      ...(routes === undefined || isThere(child(node, "route_config")) ? [] : [routes]),
    ]),
  ];
}

/** Local rate limits that have a bucket; without one they are a place for settings of routes. */
const localLimits = (mesh: Mesh) =>
  weirsConfiguration(mesh)
    .flatMap((node) => messages(node, "LocalRateLimit"))
    .filter((limit) => isThere(child(limit, "token_bucket")));

const asUnavailable: Check = {
  id: "limit-as-unavailable",
  severity: "warning",
  looksFor: "`local_ratelimit` without `rate_limited_as_resource_exhausted: true`",
  why: "A gRPC caller sees UNAVAILABLE, which Istio retries unless told otherwise: the limit makes more load.",
  fix: "Set rate_limited_as_resource_exhausted: true.",
  find: (mesh) =>
    localLimits(mesh)
      .filter((limit) => !isTrue(child(limit, "rate_limited_as_resource_exhausted")))
      .map((at) => ({ at, what: "gRPC callers are limited with UNAVAILABLE" })),
};

const without: Check = {
  id: "limit-off",
  severity: "warning",
  looksFor:
    "`local_ratelimit` whose `filter_enabled` or `filter_enforced` is 0 %, which is the default",
  why: "It limits nothing, and nothing says so.",
  fix: "Set default_value: { numerator: 100, denominator: HUNDRED } in both.",
  find: (mesh) =>
    localLimits(mesh).flatMap((limit): readonly Suspect[] => {
      const setting = ["filter_enabled", "filter_enforced"]
        .map((key) => child(limit, key))
        .find((one) => (number(child(one, "default_value", "numerator")) ?? 0) === 0);
      return setting === undefined
        ? []
        : [{ at: setting, what: `${String(setting.path.at(-1))} is 0 %` }];
    }),
};

/** Seen on Envoy 1.36.4 and 1.40.0; in what extproc answers it is the other way round. */
const rawValue: Check = {
  id: "raw-value-ignored",
  severity: "warning",
  looksFor: "a header of the configuration with `raw_value`",
  why: "In its own configuration Envoy reads value alone, and adds no header without one: copies stay unmarked, or answers without what they should say.",
  fix: "Write value, and leave raw_value out.",
  find: (mesh) =>
    weirsConfiguration(mesh)
      .flatMap((node) => [...everyNode(node)])
      .filter((node) => isThere(child(node, "key")) && isThere(child(node, "raw_value")))
      .map((node) => ({
        at: child(node, "raw_value"),
        what: `${text(child(node, "key")) ?? ""} ${isThere(child(node, "value")) ? "has two values" : "is never added"}`,
      })),
};

export const limitsChecks: readonly Check[] = [asUnavailable, without, rawValue];
