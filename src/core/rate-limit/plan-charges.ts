import type { CompiledLimit } from "../limit/limit.js";
import { quotaIdOf, quotaKeyOf } from "../limit/quota-key.js";
import type { Charge } from "../routing/decision.js";
import type { RateLimitUnit } from "../../schema/rate-limit.js";
import { matchDescriptor, metricLabel, type DescriptorEntry } from "./match-descriptor.js";
import { UNIT_MS, type CompiledDomain, type RateLimitRule } from "./rate-limit-tree.js";

export type Descriptor = {
  readonly entries: readonly DescriptorEntry[];
  /** A limit of the caller's own, which goes before any rule. */
  readonly override: { readonly requestsPerUnit: number; readonly unit: RateLimitUnit } | undefined;
  /** 0 asks whether one hit would pass, and takes nothing. */
  readonly hits: number;
};

/** What a descriptor of a request stands for. */
export type PlannedDescriptor = {
  /** `charged`, or why it is not. */
  readonly kind: "charged" | "unlimited" | "replaced" | "unmatched";
  /** In metrics; a label with values of callers is one of any number. */
  readonly label: string;
  readonly hasValues: boolean;
  readonly rule: RateLimitRule | undefined;
  /** Place of its charge in the plan; -1: none. */
  readonly charge: number;
};

/** What one request takes. Descriptors that mean the same quota are one charge. */
export type ChargePlan = {
  readonly descriptors: readonly PlannedDescriptor[];
  readonly charges: readonly PlannedCharge[];
};

export type PlannedCharge = {
  readonly key: string;
  readonly rule: RateLimitRule;
  readonly hits: number;
};

const UNMATCHED: PlannedDescriptor = {
  kind: "unmatched",
  ...{ label: "-", hasValues: false, rule: undefined, charge: -1 },
};

export function planCharges(
  domain: CompiledDomain | undefined,
  descriptors: readonly Descriptor[],
): ChargePlan {
  if (domain === undefined) return { descriptors: descriptors.map(() => UNMATCHED), charges: [] };
  const found = descriptors.map((descriptor) => find(domain, descriptor));
  const replaced = new Set(found.flatMap((one) => one?.rule.replaces ?? []));
  const charges: PlannedCharge[] = [];
  const placeOf = new Map<string, number>();
  const planned = found.map((one, at): PlannedDescriptor => {
    if (one === undefined) return UNMATCHED;
    const { rule, label, hasValues, key } = one;
    const told = { rule, label, hasValues };
    if (rule.isUnlimited) return { ...told, kind: "unlimited", charge: -1 };
    if (rule.name !== undefined && replaced.has(rule.name)) {
      return { ...told, kind: "replaced", charge: -1 };
    }
    const hits = descriptors[at]?.hits ?? 1;
    const quota = quotaIdOf(rule.limit.name, key);
    const place = placeOf.get(quota) ?? charges.length;
    placeOf.set(quota, place);
    charges[place] = { key, rule, hits: hits + (charges[place]?.hits ?? 0) };
    return { ...told, kind: "charged", charge: place };
  });
  return { descriptors: planned, charges };
}

type Found = Pick<PlannedDescriptor, "label" | "hasValues"> & {
  readonly rule: RateLimitRule;
  readonly key: string;
};

function find(domain: CompiledDomain, descriptor: Descriptor): Found | undefined {
  const { entries, override } = descriptor;
  if (override !== undefined) return overridden(domain, entries, override);
  const match = matchDescriptor(domain, entries);
  if (match === undefined) return undefined;
  const { rule, nodes } = match;
  const values = entries.map(({ value }, at) => {
    const node = nodes[at];
    return node?.sharesQuota === true ? node.value : value;
  });
  return { rule, ...metricLabel(match, entries), key: keyOf(values) };
}

function overridden(
  { name }: CompiledDomain,
  entries: readonly DescriptorEntry[],
  { requestsPerUnit, unit }: NonNullable<Descriptor["override"]>,
): Found {
  const limit: CompiledLimit = {
    name: `${name}/override ${requestsPerUnit} per ${unit}`,
    ...{ requests: requestsPerUnit, burst: requestsPerUnit, periodMs: UNIT_MS[unit] },
    ...{ enforce: true, overshoot: 0.1, onStoreFailure: "local" },
  };
  const rule: RateLimitRule = {
    ...{ limit, requestsPerUnit, unit, name: undefined, replaces: [], metadata: undefined },
    ...{ isUnlimited: false, isQuota: false, chargesRefused: false, hasDetailedMetric: false },
  };
  const texts = entries.flatMap(({ key, value }) => [key, value]);
  return { rule, label: "override", hasValues: false, key: keyOf(texts) };
}

/** Values of descriptors may hold anything: as JSON no two lists of them look alike. */
const keyOf = (values: readonly (string | undefined)[]) => quotaKeyOf([JSON.stringify(values)]);

/**
 * The charges for a store.
 *
 * @param isAsking  hits of 0 count as 1, so that the verdict says whether one would pass
 */
export const chargesOf = ({ charges }: ChargePlan, isAsking: boolean): readonly Charge[] =>
  charges.map(({ key, rule, hits }) => {
    const cost = isAsking ? Math.max(1, hits) : hits;
    const charge = { limit: rule.limit.name, key, cost };
    return rule.requestsPerUnit === 0 ? { ...charge, isBarred: true } : charge;
  });

/** @param isQuotaEnforced  limits in quota mode refuse too */
export const limitsOf = (
  { charges }: ChargePlan,
  isQuotaEnforced: boolean,
): ReadonlyMap<string, CompiledLimit> =>
  new Map(
    charges.map(({ rule: { limit, isQuota } }) => [
      limit.name,
      isQuotaEnforced && isQuota ? { ...limit, enforce: true } : limit,
    ]),
  );
