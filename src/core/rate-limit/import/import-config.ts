import { isPattern, RATE_LIMIT_UNITS, type RateLimitDomain } from "../../../schema/rate-limit.js";
import type { z } from "zod";
import { keyIssues } from "./config-issues.js";
import type { ConfigIssue, ConfigNode } from "./config-node.js";
import { fieldsOf, type Fields } from "./read-fields.js";

export type DomainInput = z.input<typeof RateLimitDomain>;
type RuleInput = NonNullable<DomainInput["descriptors"]>[number];
type LimitInput = NonNullable<RuleInput["rateLimit"]>;

/** What a file has wrong, and what is said otherwise than there. */
export type FileNotes = {
  readonly issues: readonly ConfigIssue[];
  readonly warnings: readonly ConfigIssue[];
};

type Notes = { readonly issues: ConfigIssue[]; readonly warnings: ConfigIssue[] };

/**
 * Files of envoyproxy/ratelimit as domains of a policy; refuses what that project's checker refuses.
 *
 * @param mergesDomains  files may add to a domain of another, as with its MERGE_DOMAIN_CONFIG
 * @returns notes in the order of the files
 */
export function importConfigs(
  roots: readonly ConfigNode[],
  { mergesDomains }: { readonly mergesDomains: boolean },
): { readonly domains: readonly DomainInput[]; readonly notes: readonly FileNotes[] } {
  type Open = { readonly taken: Set<string>; readonly rules: RuleInput[] };
  const open = new Map<string, Open>();
  const notes = roots.map((root) => {
    const noted: Notes = { issues: [...keyIssues(root)], warnings: [] };
    const fields = fieldsOf(root, noted.issues);
    const name = fields.text("domain");
    const refuse = (message: string) =>
      noted.issues.push({ offset: fields.offsetOf("domain"), message });
    if (name === "") refuse("domain is missing or empty: name it");
    const known = open.get(name);
    if (known !== undefined && !mergesDomains) {
      refuse(`domain "${name}" is in another file: put them together, or give --merge-domains`);
    }
    const { taken, rules }: Open = known ?? { taken: new Set(), rules: [] };
    open.set(name, { taken, rules });
    rules.push(...rulesOf(fields, "", taken, noted));
    return noted;
  });
  const domains = [...open].map(([domain, { rules }]) => ({ domain, descriptors: rules }));
  return { domains, notes };
}

/** @param taken  `KEY` and `KEY_VALUE` of the rules on this level, which may not be alike */
function rulesOf(parent: Fields, above: string, taken: Set<string>, notes: Notes): RuleInput[] {
  return parent.list("descriptors").map((fields) => {
    const key = fields.text("key");
    const value = fields.text("value");
    const label = value === "" ? key : `${key}_${value}`;
    const refuse = (name: string, message: string) =>
      notes.issues.push({ offset: fields.offsetOf(name), message });
    if (key === "") refuse("key", "key is missing or empty: name it");
    if (taken.has(label)) {
      refuse("key", `another rule is called ${above}${label}, by its key and value: remove one`);
    }
    taken.add(label);
    return ruleOf(fields, { key, value, label }, above, notes);
  });
}

function ruleOf(
  fields: Fields,
  { key, value, label }: { readonly key: string; readonly value: string; readonly label: string },
  above: string,
  notes: Notes,
): RuleInput {
  const warn = (name: string, message: string) =>
    notes.warnings.push({ offset: fields.offsetOf(name), message });
  const rateLimit = fields.map("rate_limit");
  const metadata = fields.plain("metadata");
  const descriptors = rulesOf(fields, `${above}${label}.`, new Set(), notes);
  const shadowMode = fields.flag("shadow_mode");
  const quotaMode = fields.flag("quota_mode");
  const sharesThreshold = fields.flag("share_threshold");
  if (sharesThreshold && !label.includes("*")) {
    notes.issues.push({
      offset: fields.offsetOf("share_threshold"),
      message: "share_threshold is for values with a *: write one, or leave it out",
    });
  }
  if (key.includes("*"))
    warn("key", `the * in ${key} is taken as it is: here values have patterns`);
  if (shadowMode && quotaMode) warn("quota_mode", "left out: shadow_mode never refuses");
  return {
    key,
    ...(value === "" ? {} : { value }),
    ...(rateLimit === undefined ? {} : { rateLimit: limitOf(rateLimit, notes) }),
    ...given({ shadowMode, quotaMode: quotaMode && !shadowMode }),
    ...given({ shareThreshold: sharesThreshold && isPattern(value) }),
    ...given({ detailedMetric: fields.flag("detailed_metric") }),
    ...given({ valueToMetric: fields.flag("value_to_metric") }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(descriptors.length === 0 ? {} : { descriptors }),
  };
}

function limitOf(fields: Fields, { issues }: Notes): LimitInput {
  const unlimited = fields.flag("unlimited");
  const name = fields.text("name");
  const requestsPerUnit = fields.count("requests_per_unit");
  const written = fields.text("unit");
  const unit = RATE_LIMIT_UNITS.find((one) => one === written.toLowerCase());
  const replaces = fields.list("replaces").map((one) => one.text("name"));
  const refuse = (field: string, message: string) =>
    issues.push({ offset: fields.offsetOf(field), message });
  if (unlimited && unit !== undefined) refuse("unit", "unlimited has no unit: remove one of them");
  if (!unlimited && unit === undefined) {
    refuse("unit", `unit "${written}" is not known: write one of ${RATE_LIMIT_UNITS.join(", ")}`);
  }
  if (replaces.includes("")) refuse("replaces", "replaces has an entry without a name: name it");
  else if (replaces.includes(name)) refuse("replaces", `"${name}" cannot replace itself`);
  return {
    ...(unlimited || unit === undefined ? { unlimited: true } : { requestsPerUnit, unit }),
    ...(name === "" ? {} : { name }),
    ...(replaces.length === 0 ? {} : { replaces }),
  };
}

/** Only what is set: the rest are defaults. */
const given = <Flags extends Readonly<Record<string, boolean>>>(flags: Flags): Partial<Flags> =>
  Object.fromEntries(Object.entries(flags).filter(([, isSet]) => isSet)) as Partial<Flags>;
